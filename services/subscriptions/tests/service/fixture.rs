//! Starts the service, signs people in, and reads what it publishes.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use marquee_auth::Verifier;
use marquee_bus::embedded::{Embedded, Options};
use marquee_bus::{EventBus, Polled, Subscription};
use marquee_client::{PeerArgs, Peers, RemoteKeys, ServiceTokens, channel};
use marquee_config::Secret;
use marquee_proto::subscriptions::v1::account_service_client::AccountServiceClient;
use marquee_proto::subscriptions::v1::entitlement_service_client::EntitlementServiceClient;
use marquee_proto::subscriptions::v1::follow_service_client::FollowServiceClient;
use marquee_proto::subscriptions::v1::membership_service_client::MembershipServiceClient;
use marquee_proto::subscriptions::v1::payment_service_client::PaymentServiceClient;
use marquee_proto::subscriptions::v1::plan_service_client::PlanServiceClient;
use marquee_proto::subscriptions::v1::reminder_service_client::ReminderServiceClient;
use marquee_proto::subscriptions::v1::session_service_client::SessionServiceClient;
use marquee_proto::subscriptions::v1::ticket_service_client::TicketServiceClient;
use marquee_proto::subscriptions::v1::{
    Account, CreateAccountRequest, IssueServiceTokenRequest, LoginRequest, RefreshRequest, Tokens,
};
use marquee_proto::topic::BusEvent;
use marquee_server::{Limits, Listener, Platform, PublicAddresses, run};
use marquee_subscriptions::{Clock, Config, build};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

use crate::events_peer::EventsPeer;
use crate::place::Place;

pub(crate) const SECRET: &str = "the services' shared secret";
pub(crate) const PASSWORD: &str = "correct horse battery staple";
const PATIENCE: Duration = Duration::from_secs(10);

type Configure = Arc<dyn Fn(&mut Config) + Send + Sync>;

/// A running service and what it needs.
pub(crate) struct Fixture {
    pub(crate) events: EventsPeer,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) clock: Ahead,
    place: Place,
    bus: Arc<Embedded>,
    channel: Channel,
    stop: CancellationToken,
    running: JoinHandle<Result<(), marquee_server::Error>>,
    configure: Configure,
}

/// The system's clock, as far ahead as a test says.
#[derive(Clone, Default)]
pub(crate) struct Ahead(Arc<AtomicI64>);

impl Ahead {
    pub(crate) fn advance(&self, by: Duration) {
        self.0
            .fetch_add(i64::try_from(by.as_secs()).unwrap(), Ordering::SeqCst);
    }

    fn clock(&self) -> Clock {
        let ahead = Arc::clone(&self.0);
        Clock::new(move || {
            Timestamp::now() + Duration::from_secs(ahead.load(Ordering::SeqCst).unsigned_abs())
        })
    }
}

/// Somebody who is signed in.
#[derive(Clone)]
pub(crate) struct Person {
    /// `accounts/{account}`.
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

impl Person {
    /// A request of this person.
    pub(crate) fn asks<T>(&self, message: T) -> Request<T> {
        with_token(message, &self.access_token)
    }
}

pub(crate) fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

macro_rules! clients {
    ($($method:ident: $client:ident),+ $(,)?) => {
        $(pub(crate) fn $method(&self) -> $client<Channel> {
            $client::new(self.channel.clone())
        })+
    };
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(configure: impl Fn(&mut Config) + Send + Sync + 'static) -> Self {
        let events = EventsPeer::start().await;
        Self::launch(Place::new(), events, Ahead::default(), Arc::new(configure)).await
    }

    /// Stops the service and builds it again on the same folder.
    pub(crate) async fn restart(self) -> Self {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
        drop(self.channel);
        drop(self.bus);
        Self::launch(self.place, self.events, self.clock, self.configure).await
    }

    async fn launch(place: Place, events: EventsPeer, clock: Ahead, configure: Configure) -> Self {
        let bus = Embedded::open(&place.folder().join("bus"), Options::default()).unwrap();
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr();
        let own = channel(format!("http://{address}").parse().unwrap());
        let tokens = Arc::new(ServiceTokens::new(
            own.clone(),
            "subscriptions",
            Secret::new(SECRET),
        ));
        let peers = PeerArgs {
            events_url: Some(events.address.clone()),
            ..PeerArgs::default()
        };
        let platform = Platform {
            bus: bus.clone(),
            peers: Peers::new(peers, tokens),
            verifier: Arc::new(Verifier::new(Arc::new(RemoteKeys::new(own.clone())))),
            shutdown: CancellationToken::new(),
            public: PublicAddresses {
                http: format!("http://{address}"),
                rtmp: String::new(),
            },
        };
        let mut config = place.config(Secret::new(SECRET));
        config.clock = clock.clock();
        config.sweep_interval = Duration::from_millis(20);
        configure(&mut config);
        let verifier = Arc::clone(&platform.verifier);
        let service = build(config, platform).await.unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(
            listener,
            vec![service],
            verifier,
            Limits::default(),
            stop.clone(),
        ));
        Self {
            events,
            address,
            clock,
            place,
            bus,
            channel: own,
            stop,
            running,
            configure,
        }
    }

    clients! {
        accounts: AccountServiceClient,
        sessions: SessionServiceClient,
        plans: PlanServiceClient,
        memberships: MembershipServiceClient,
        payments: PaymentServiceClient,
        follows: FollowServiceClient,
        reminders: ReminderServiceClient,
        entitlements: EntitlementServiceClient,
        tickets: TicketServiceClient,
    }

    /// Registers `{id}@example.org` and signs in.
    pub(crate) async fn person(&self, id: &str) -> Person {
        let request = CreateAccountRequest {
            account: Some(profile(id)),
            password: PASSWORD.to_owned(),
            ..CreateAccountRequest::default()
        };
        self.accounts().create_account(request).await.unwrap();
        self.login(&format!("{id}@example.org"), PASSWORD).await.unwrap()
    }

    /// Sessions as somebody at another address of this machine has them.
    pub(crate) async fn sessions_from(&self, address: IpAddr) -> SessionServiceClient<Channel> {
        let endpoint = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        let channel = endpoint.local_address(Some(address)).connect().await.unwrap();
        SessionServiceClient::new(channel)
    }

    pub(crate) async fn login(&self, email: &str, password: &str) -> Result<Person, Status> {
        let request = LoginRequest {
            email: email.to_owned(),
            password: password.to_owned(),
        };
        let answer = self.sessions().login(request).await?.into_inner();
        let (account, tokens) = (answer.account.unwrap(), answer.tokens.unwrap());
        Ok(Person {
            name: account.name,
            email: account.email,
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
        })
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> Result<Tokens, Status> {
        let request = RefreshRequest {
            refresh_token: refresh_token.to_owned(),
        };
        Ok(self
            .sessions()
            .refresh(request)
            .await?
            .into_inner()
            .tokens
            .unwrap())
    }

    /// A service token of the events service.
    pub(crate) async fn service_token(&self) -> String {
        let request = IssueServiceTokenRequest {
            service: "events".to_owned(),
            secret: SECRET.to_owned(),
        };
        self.sessions()
            .issue_service_token(request)
            .await
            .unwrap()
            .into_inner()
            .access_token
    }

    /// Reads a topic from its beginning.
    pub(crate) async fn published<E: BusEvent>(&self) -> Published<E> {
        Published {
            subscription: self
                .bus
                .subscribe(&uuid::Uuid::new_v4().to_string(), &[E::TOPIC])
                .await
                .unwrap(),
            read: Vec::new(),
        }
    }
}

/// What is on a topic.
pub(crate) struct Published<E> {
    subscription: Box<dyn Subscription>,
    read: Vec<(String, E)>,
}

impl<E: BusEvent> Published<E> {
    /// The first `count` events with their keys, in the order in which they came.
    pub(crate) async fn first(&mut self, count: usize) -> &[(String, E)] {
        let reading = async {
            while self.read.len() < count {
                if let Polled::Records(records) = self.subscription.poll(100).await.unwrap() {
                    self.read.extend(records.into_iter().map(|record| {
                        (
                            record.message.key.clone(),
                            E::decode(record.message.value).unwrap(),
                        )
                    }));
                }
            }
        };
        timeout(PATIENCE, reading)
            .await
            .expect("the events were not published");
        &self.read
    }
}

/// Waits until `done` holds.
pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come true"));
}

/// What is needed to register as `{id}@example.org`.
pub(crate) fn profile(id: &str) -> Account {
    Account {
        email: format!("{id}@example.org"),
        display_name: id.to_owned(),
        ..Account::default()
    }
}

pub(crate) fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The code and the reason of a refusal.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> (tonic::Code, String) {
    let status = answer.expect_err("it was not refused");
    (status.code(), marquee_error::reason(&status).unwrap_or_default())
}

/// The fields that a refusal names.
#[track_caller]
pub(crate) fn wrong_fields<T: std::fmt::Debug>(answer: Result<T, Status>) -> Vec<String> {
    let status = answer.expect_err("it was not refused");
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().expect("no field is named");
    details
        .field_violations
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}
