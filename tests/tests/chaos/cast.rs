//! Who takes part, and what they make before anything is killed.

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use marquee_proto::events::v1::{Channel, CreateChannelRequest, CreateEventRequest, Event, GetEventRequest};
use marquee_proto::subscriptions::v1::{
    Account, CreateAccountRequest, CreateFollowRequest, DeleteFollowRequest, LoginRequest,
};
use marquee_proto::video_ingest::v1::CreateStreamKeyRequest;
use marquee_testkit::Person;
use marquee_tests::uuid;

use crate::client::Client;

const PASSWORD: &str = "correct horse battery";

/// Somebody with an account.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) person: Person,
    /// `accounts/{account}`.
    pub(crate) name: String,
}

impl Client {
    pub(crate) async fn register(&self, email: &str) -> Result<Member> {
        let account = Account {
            email: email.into(),
            display_name: "Somebody".into(),
            ..Account::default()
        };
        let request = CreateAccountRequest {
            account: Some(account),
            password: PASSWORD.into(),
            request_id: uuid(),
        };
        let created = self
            .must("register", None, &request, |api, request| async move {
                api.accounts().create_account(request).await
            })
            .await?;
        let name = created.account.context("no account")?.name;
        let person = self.login(email).await?;
        Ok(Member { person, name })
    }

    pub(crate) async fn login(&self, email: &str) -> Result<Person> {
        let request = LoginRequest {
            email: email.into(),
            password: PASSWORD.into(),
        };
        let answer = self
            .must("account", None, &request, |api, request| async move {
                api.sessions().login(request).await
            })
            .await?;
        Ok(Person {
            email: email.into(),
            password: PASSWORD.into(),
            access_token: answer.tokens.context("no tokens")?.access_token,
        })
    }

    pub(crate) async fn channel(&self, owner: &Member, handle: &str) -> Result<Channel> {
        let channel = Channel {
            handle: handle.into(),
            display_name: format!("Channel {handle}"),
            ..Channel::default()
        };
        let request = CreateChannelRequest {
            channel: Some(channel),
            request_id: uuid(),
        };
        let created = self
            .must(
                "schedule",
                Some(&owner.person),
                &request,
                |api, request| async move { api.channels().create_channel(request).await },
            )
            .await?;
        created.channel.context("no channel")
    }

    /// Schedules an event that starts in an hour.
    pub(crate) async fn schedule(&self, owner: &Member, channel: &str, title: &str) -> Result<Event> {
        let start = marquee_proto::time::to_proto(Timestamp::now() + SignedDuration::from_hours(1));
        let event = Event {
            title: title.into(),
            scheduled_start_time: Some(start),
            ..Event::default()
        };
        let request = CreateEventRequest {
            parent: channel.to_owned(),
            event: Some(event),
            request_id: uuid(),
        };
        let created = self
            .must(
                "schedule",
                Some(&owner.person),
                &request,
                |api, request| async move { api.events().create_event(request).await },
            )
            .await?;
        created.event.context("no event")
    }

    pub(crate) async fn event(&self, name: &str) -> Result<Event> {
        let request = GetEventRequest { name: name.into() };
        let answer = self
            .must("event", None, &request, |api, request| async move {
                api.events().get_event(request).await
            })
            .await?;
        answer.event.context("no event")
    }

    pub(crate) async fn stream_key(&self, owner: &Member, channel: &str) -> Result<String> {
        // Made anew each time: the secret is in the first answer alone.
        let request = CreateStreamKeyRequest {
            parent: channel.to_owned(),
            ..CreateStreamKeyRequest::default()
        };
        let answer = self
            .must(
                "stream",
                Some(&owner.person),
                &request,
                |api, request| async move { api.stream_keys().create_stream_key(request).await },
            )
            .await?;
        Ok(answer.secret)
    }

    pub(crate) async fn follow(&self, who: &Member, channel: &str) -> Result<()> {
        let request = CreateFollowRequest {
            parent: "accounts/me".into(),
            channel: channel.into(),
        };
        self.must("follow", Some(&who.person), &request, |api, request| async move {
            api.follows().create_follow(request).await
        })
        .await
        .map(drop)
    }

    pub(crate) async fn unfollow(&self, who: &Member, channel: &str) -> Result<()> {
        let id = channel.trim_start_matches("channels/");
        let request = DeleteFollowRequest {
            name: format!("{}/follows/{id}", who.name),
        };
        let answer = self
            .insist("follow", Some(&who.person), &request, |api, request| async move {
                api.follows().delete_follow(request).await
            })
            .await;
        match answer {
            Ok(_) => Ok(()),
            // The first attempt did it, and its answer was lost.
            Err(status) if status.code() == tonic::Code::NotFound => Ok(()),
            Err(status) => {
                self.meter.fault(format!("unfollow was refused: {status}"));
                Err(status.into())
            }
        }
    }
}
