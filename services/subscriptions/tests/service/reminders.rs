use std::time::Duration;

use marquee_proto::events::v1::{EventState, Visibility};
use marquee_proto::subscriptions::v1::{
    CreateReminderRequest, DeleteReminderRequest, ListRemindersRequest, ListRemindersResponse, Reminder,
    ReminderChanged, reminder_changed,
};
use marquee_proto::time::{duration_from_proto, duration_to_proto};
use tonic::{Code, Status};

use crate::fixture::{Fixture, Person, refused, wrong_fields};

const EVENT: &str = "channels/c1/events/e1";

async fn remind(
    fixture: &Fixture,
    person: &Person,
    event: &str,
    lead_time: Option<prost_types::Duration>,
) -> Result<Reminder, Status> {
    let request = person.asks(CreateReminderRequest {
        parent: "accounts/me".to_owned(),
        event: event.to_owned(),
        lead_time,
    });
    Ok(fixture
        .reminders()
        .create_reminder(request)
        .await?
        .into_inner()
        .reminder
        .unwrap())
}

fn seconds(seconds: u64) -> Option<prost_types::Duration> {
    Some(duration_to_proto(Duration::from_secs(seconds)))
}

async fn remove(fixture: &Fixture, person: &Person, name: &str) -> Result<(), Status> {
    let request = person.asks(DeleteReminderRequest {
        name: name.to_owned(),
    });
    fixture.reminders().delete_reminder(request).await.map(drop)
}

async fn list(
    fixture: &Fixture,
    person: &Person,
    page_size: i32,
    page_token: &str,
) -> Result<ListRemindersResponse, Status> {
    let request = person.asks(ListRemindersRequest {
        parent: "accounts/me".to_owned(),
        page_size,
        page_token: page_token.to_owned(),
    });
    Ok(fixture.reminders().list_reminders(request).await?.into_inner())
}

async fn with_event() -> (Fixture, Person) {
    let fixture = Fixture::start().await;
    fixture
        .events
        .add_event(EVENT, EventState::Scheduled, Visibility::Public);
    let ada = fixture.person("ada").await;
    (fixture, ada)
}

#[tokio::test]
async fn a_reminder_is_ten_minutes_ahead_unless_told() {
    let (fixture, ada) = with_event().await;
    let reminder = remind(&fixture, &ada, EVENT, None).await.unwrap();
    assert!(reminder.name.starts_with(&format!("{}/reminders/", ada.name)));
    assert_eq!(reminder.event, EVENT);
    let lead = reminder.lead_time.as_ref().and_then(duration_from_proto);
    assert_eq!(lead, Some(Duration::from_secs(600)));
    assert_eq!(list(&fixture, &ada, 0, "").await.unwrap().reminders, [reminder]);
}

#[tokio::test]
async fn the_same_lead_time_is_the_same_reminder_and_another_is_another() {
    let (fixture, ada) = with_event().await;
    let first = remind(&fixture, &ada, EVENT, None).await.unwrap();
    assert_eq!(remind(&fixture, &ada, EVENT, seconds(600)).await.unwrap(), first);
    let other = remind(&fixture, &ada, EVENT, seconds(0)).await.unwrap();
    assert_ne!(other.name, first.name);
}

#[tokio::test]
async fn an_unlisted_event_can_be_waited_for() {
    let (fixture, ada) = with_event().await;
    let event = "channels/c1/events/unlisted";
    fixture
        .events
        .add_event(event, EventState::Scheduled, Visibility::Unlisted);
    remind(&fixture, &ada, event, None).await.unwrap();
}

#[tokio::test]
async fn what_is_not_scheduled_cannot_be_waited_for() {
    let (fixture, ada) = with_event().await;
    for state in [EventState::Live, EventState::Ended, EventState::Cancelled] {
        fixture.events.add_event(EVENT, state, Visibility::Public);
        let answer = remind(&fixture, &ada, EVENT, None).await;
        assert_eq!(
            refused(answer),
            (Code::FailedPrecondition, "EVENT_NOT_SCHEDULED".to_owned()),
            "{state:?}"
        );
    }
    let answer = remind(&fixture, &ada, "channels/c1/events/none", None).await;
    assert_eq!(refused(answer), (Code::NotFound, "EVENT_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn while_events_is_down_only_a_reminder_that_is_there_can_be_set() {
    let (mut fixture, ada) = with_event().await;
    let first = remind(&fixture, &ada, EVENT, None).await.unwrap();
    fixture.events.stop().await;
    assert_eq!(remind(&fixture, &ada, EVENT, None).await.unwrap(), first);
    let answer = remind(&fixture, &ada, EVENT, seconds(0)).await;
    assert_eq!(
        refused(answer),
        (Code::Unavailable, "PEER_UNAVAILABLE".to_owned())
    );
}

#[tokio::test]
async fn one_event_has_ten_reminders_of_an_account_at_most() {
    let (fixture, ada) = with_event().await;
    for lead in 0..10 {
        remind(&fixture, &ada, EVENT, seconds(lead)).await.unwrap();
    }
    let answer = remind(&fixture, &ada, EVENT, seconds(10)).await;
    assert_eq!(
        refused(answer),
        (Code::ResourceExhausted, "TOO_MANY_REMINDERS".to_owned())
    );
}

#[tokio::test]
async fn bad_requests_name_their_fields() {
    let (fixture, ada) = with_event().await;
    let eight_days = seconds(8 * 24 * 60 * 60);
    let answer = remind(&fixture, &ada, "events/e1", eight_days).await;
    assert_eq!(wrong_fields(answer), ["event", "lead_time"]);
    for (seconds, nanos) in [(-1, 0), (0, 1), (0, -1), (i64::MAX, 0)] {
        let lead_time = Some(prost_types::Duration { seconds, nanos });
        let answer = remind(&fixture, &ada, EVENT, lead_time).await;
        assert_eq!(wrong_fields(answer), ["lead_time"], "{seconds} s {nanos} ns");
    }
    assert_eq!(
        wrong_fields(remove(&fixture, &ada, "reminders/r").await),
        ["name"]
    );
    assert_eq!(
        wrong_fields(list(&fixture, &ada, -1, "?").await),
        ["page_size", "page_token"]
    );
}

#[tokio::test]
async fn reminders_are_listed_newest_first_in_pages_and_survive_a_restart() {
    let (fixture, ada) = with_event().await;
    let mut names = Vec::new();
    for lead in [60, 120, 180] {
        names.insert(
            0,
            remind(&fixture, &ada, EVENT, seconds(lead)).await.unwrap().name,
        );
    }
    let first = list(&fixture, &ada, 2, "").await.unwrap();
    let fixture = fixture.restart().await;
    let last = list(&fixture, &ada, 2, &first.next_page_token).await.unwrap();
    let listed: Vec<_> = first
        .reminders
        .into_iter()
        .chain(last.reminders)
        .map(|r| r.name)
        .collect();
    assert_eq!(listed, names);
}

#[tokio::test]
async fn anothers_reminders_are_denied_and_unknown_ones_are_not_found() {
    let (fixture, ada) = with_event().await;
    let grace = fixture.person("grace").await;
    let reminder = remind(&fixture, &ada, EVENT, None).await.unwrap();
    assert_eq!(
        refused(remove(&fixture, &grace, &reminder.name).await).0,
        Code::PermissionDenied
    );
    let request = grace.asks(ListRemindersRequest {
        parent: ada.name.clone(),
        ..ListRemindersRequest::default()
    });
    assert_eq!(
        refused(fixture.reminders().list_reminders(request).await).0,
        Code::PermissionDenied
    );
    let request = grace.asks(CreateReminderRequest {
        parent: ada.name.clone(),
        event: EVENT.to_owned(),
        lead_time: None,
    });
    assert_eq!(
        refused(fixture.reminders().create_reminder(request).await).0,
        Code::PermissionDenied
    );
    let unknown = remove(&fixture, &ada, "accounts/me/reminders/none").await;
    assert_eq!(
        refused(unknown),
        (Code::NotFound, "REMINDER_NOT_FOUND".to_owned())
    );
}

#[tokio::test]
async fn reminders_are_published_under_their_names() {
    let (fixture, ada) = with_event().await;
    let reminder = remind(&fixture, &ada, EVENT, None).await.unwrap();
    remind(&fixture, &ada, EVENT, None).await.unwrap();
    remove(&fixture, &ada, &reminder.name).await.unwrap();
    let mut published = fixture.published::<ReminderChanged>().await;
    let told = published.first(2).await;
    let [(key, created), (_, deleted)] = told else {
        panic!("{told:?}");
    };
    assert_eq!(*key, reminder.name);
    let Some(reminder_changed::Change::Created(created)) = &created.change else {
        panic!("{created:?}");
    };
    assert_eq!(created.reminder.as_ref(), Some(&reminder));
    assert!(matches!(
        deleted.change,
        Some(reminder_changed::Change::Deleted(_))
    ));
}
