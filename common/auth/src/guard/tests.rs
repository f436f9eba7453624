use std::convert::Infallible;
use std::time::Duration;

use marquee_proto::name::AccountName;
use tonic::{Code, Status};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

use super::*;
use crate::{Claims, Role, Signer, StaticKeys};

const ACCOUNT: &str = "/marquee.subscriptions.v1.AccountService/GetAccount";
const PUBLIC: &str = "/marquee.subscriptions.v1.SessionService/Login";

struct Gate {
    signer: Signer,
    layer: GuardLayer,
}

impl Gate {
    fn new() -> Self {
        let signer = Signer::generate();
        let verifier = Verifier::new(Arc::new(StaticKeys(vec![signer.jwk()])));
        Self {
            signer,
            layer: GuardLayer::new(Arc::new(verifier)),
        }
    }

    fn account(&self, role: Role) -> String {
        let name = AccountName::new("a1").unwrap();
        self.signer.issue(&Claims::account(
            &name,
            role,
            Timestamp::now(),
            Duration::from_secs(60),
        ))
    }

    fn service(&self) -> String {
        self.signer.issue(&Claims::service(
            "events",
            Timestamp::now(),
            Duration::from_secs(60),
        ))
    }

    fn expired(&self) -> String {
        let name = AccountName::new("a1").unwrap();
        let then = Timestamp::now() - Duration::from_secs(600);
        self.signer.issue(&Claims::account(
            &name,
            Role::Admin,
            then,
            Duration::from_secs(60),
        ))
    }

    /// Who was let in, or why not.
    async fn ask(&self, path: &str, authorization: Option<&str>) -> Result<Principal, Status> {
        let inside = service_fn(async |request: Request<()>| {
            let mut response = Response::new(Body::empty());
            let principal = request.extensions().get::<Principal>().cloned();
            response
                .extensions_mut()
                .insert(principal.unwrap_or(Principal::Anonymous));
            Ok::<_, Infallible>(response)
        });
        let mut request = Request::post(format!("http://localhost{path}"));
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let service = ServiceBuilder::new().layer(self.layer.clone()).service(inside);
        let mut response = service.oneshot(request.body(()).unwrap()).await.unwrap();
        match Status::from_header_map(response.headers()) {
            Some(status) => Err(status),
            None => Ok(response.extensions_mut().remove().unwrap()),
        }
    }

    async fn code(&self, path: &str, token: Option<&str>) -> Code {
        let authorization = token.map(|token| format!("Bearer {token}"));
        match self.ask(path, authorization.as_deref()).await {
            Ok(_) => Code::Ok,
            Err(status) => status.code(),
        }
    }
}

#[test]
fn every_rpc_says_who_may_call_it() {
    let silent: Vec<_> = crate::access::table()
        .filter(|(_, access)| access.is_none())
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "without (marquee.auth.v1.access): {silent:?}");
    assert!(
        crate::access::table().count() > 30,
        "the table is read from the protos"
    );
}

#[tokio::test]
async fn every_rpc_answers_every_kind_of_caller_as_its_option_says() {
    use Code::{Ok, PermissionDenied, Unauthenticated};
    let gate = Gate::new();
    let (viewer, admin) = (gate.account(Role::Viewer), gate.account(Role::Admin));
    let (service, expired) = (gate.service(), gate.expired());
    let callers = [None, Some(&viewer), Some(&admin), Some(&service), Some(&expired)];
    for (path, access) in crate::access::table() {
        let expected = match access.unwrap() {
            Access::Public => [Ok, Ok, Ok, Ok, Unauthenticated],
            Access::Account => [Unauthenticated, Ok, Ok, Ok, Unauthenticated],
            Access::Admin => [Unauthenticated, PermissionDenied, Ok, Ok, Unauthenticated],
            Access::Service => [
                Unauthenticated,
                PermissionDenied,
                PermissionDenied,
                Ok,
                Unauthenticated,
            ],
        };
        // Twice, since the second time the token is remembered.
        for _ in 0..2 {
            for (caller, expected) in callers.iter().zip(expected) {
                assert_eq!(
                    gate.code(path, caller.map(String::as_str)).await,
                    expected,
                    "{path} {access:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_service_learns_who_is_calling() {
    let gate = Gate::new();
    let token = format!("bearer {}", gate.account(Role::Viewer));
    let principal = gate.ask(ACCOUNT, Some(&token)).await.unwrap();
    assert_eq!(principal.id(), "accounts/a1");
    assert_eq!(gate.ask(PUBLIC, None).await.unwrap(), Principal::Anonymous);
}

#[tokio::test]
async fn a_refusal_says_why() {
    let gate = Gate::new();
    let expired = format!("Bearer {}", gate.expired());
    for (path, authorization, reason) in [
        (ACCOUNT, None, "TOKEN_MISSING"),
        (PUBLIC, Some(expired.as_str()), "TOKEN_EXPIRED"),
        (ACCOUNT, Some("Bearer nonsense"), "TOKEN_INVALID"),
        (ACCOUNT, Some("Basic YTpi"), "TOKEN_INVALID"),
        (ACCOUNT, Some("Bearer"), "TOKEN_INVALID"),
        ("/marquee.events.v1.EventService/Explode", None, "UNKNOWN_METHOD"),
    ] {
        let status = gate.ask(path, authorization).await.unwrap_err();
        assert_eq!(
            marquee_error::reason(&status).as_deref(),
            Some(reason),
            "{path} {status:?}"
        );
    }
}

#[tokio::test]
async fn health_and_reflection_are_open_and_nothing_else_is() {
    let gate = Gate::new();
    for path in [
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ] {
        assert_eq!(gate.code(path, None).await, Code::Ok);
        assert_eq!(gate.code(path, Some("nonsense")).await, Code::Ok);
    }
    for path in [
        "/",
        "/marquee.events.v1.EventService/Explode",
        "/other.Service/Get",
        "/grpc.healthy/Check",
    ] {
        assert_eq!(
            gate.code(path, Some(&gate.service())).await,
            Code::Unimplemented,
            "{path}"
        );
    }
}
