//! Service tokens: fetched once, and before they are needed.

use super::*;

#[tokio::test]
async fn one_call_fetches_the_token_for_all_who_wait() {
    let server = Running::start(Sessions::new()).await;
    let tokens = server.tokens("s3cret");
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let tokens = Arc::clone(&tokens);
            tokio::spawn(async move { tokens.token().await.unwrap() })
        })
        .collect();
    for task in waiting {
        task.await.unwrap();
    }
    assert_eq!(server.calls(), 1);
}

/// As if so much time had passed.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert!(waited.is_ok(), "waited in vain: {what}");
}

#[tokio::test]
async fn while_subscriptions_hangs_calls_go_on_with_the_token_that_is_good() {
    let subscriptions = Running::start(Sessions::new()).await;
    let other = Running::start(Sessions::new()).await;
    let peers = Peers::all_at(other.address, subscriptions.tokens("s3cret"));
    let call = || async {
        let mut client = SessionServiceClient::new(peers.subscriptions());
        let answer = client.login(LoginRequest::default());
        within(Instant::now() + Duration::from_secs(1), answer).await
    };
    call().await.unwrap();
    let first = other.sessions.header("authorization");
    subscriptions.sessions.stall.store(true, Relaxed);

    pass(HOUR - Duration::from_secs(60)).await;
    for _ in 0..10 {
        call().await.unwrap();
    }

    assert_eq!(other.sessions.header("authorization"), first);
    until("the next token is asked for", async || subscriptions.calls() >= 2).await;
    assert_eq!(subscriptions.calls(), 2, "by one call for all");

    subscriptions.sessions.stall.store(false, Relaxed);
    // The call that hangs has to be given up, and the next one comes a little later.
    for _ in 0..10 {
        pass(Duration::from_secs(6)).await;
        for _ in 0..100 {
            call().await.unwrap();
            if other.sessions.header("authorization") != first {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    panic!("the next token never came");
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_end_the_fetch_of_the_others() {
    let server = Running::start(Sessions::new()).await;
    let tokens = server.tokens("s3cret");
    let hasty = tokio::time::timeout(Duration::ZERO, tokens.token()).await;
    assert!(hasty.is_err(), "it has given up");
    tokens.token().await.unwrap();
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn without_a_token_those_who_wait_for_a_subscriptions_that_hangs_are_told_why() {
    let server = Running::start(Sessions {
        stall: AtomicBool::new(true),
        ..Sessions::new()
    })
    .await;
    let peers = Peers::all_at(server.address, server.tokens("s3cret"));
    let status = SessionServiceClient::new(peers.subscriptions())
        .login(LoginRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().starts_with("no service token: "), "{status}");
}

#[tokio::test]
async fn a_token_without_a_future_is_fetched_anew() {
    let server = Running::start(Sessions {
        lifetime: Duration::ZERO,
        ..Sessions::new()
    })
    .await;
    let tokens = server.tokens("s3cret");
    let first = tokens.token().await.unwrap();
    assert_ne!(tokens.token().await.unwrap(), first);
}

#[tokio::test]
async fn a_wrong_secret_is_unavailable_to_those_who_call() {
    let server = Running::start(Sessions::new()).await;
    let peers = Peers::all_at(server.address, server.tokens("guess"));

    let status = SessionServiceClient::new(peers.subscriptions())
        .login(LoginRequest::default())
        .await
        .unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(
        status.message(),
        "no service token: subscriptions answered IssueServiceToken with Unauthenticated: wrong secret"
    );
}
