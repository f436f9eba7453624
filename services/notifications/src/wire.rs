//! Notifications as they travel: in answers and on the bus.

use marquee_proto::notifications::v1 as proto;
use marquee_proto::time::to_proto;

use crate::domain::notification::{Kind, Notification};

pub(crate) fn notification(notification: &Notification) -> proto::Notification {
    proto::Notification {
        name: notification.name.clone(),
        kind: kind(notification.kind).into(),
        title: notification.title.clone(),
        body: notification.body.clone(),
        channel: notification.channel.clone(),
        event: notification.event.clone(),
        read: notification.read,
        create_time: Some(to_proto(notification.create_time)),
    }
}

const fn kind(kind: Kind) -> proto::NotificationKind {
    match kind {
        Kind::EventLive => proto::NotificationKind::EventLive,
        Kind::EventReminder => proto::NotificationKind::EventReminder,
        Kind::EventScheduled => proto::NotificationKind::EventScheduled,
        Kind::EventCancelled => proto::NotificationKind::EventCancelled,
        Kind::RecordingReady => proto::NotificationKind::RecordingReady,
        Kind::PaymentFailed => proto::NotificationKind::PaymentFailed,
        Kind::EventRescheduled => proto::NotificationKind::EventRescheduled,
    }
}

pub(crate) fn created(created: &Notification) -> proto::NotificationChanged {
    let created = proto::NotificationCreated {
        notification: Some(notification(created)),
    };
    proto::NotificationChanged {
        change: Some(proto::notification_changed::Change::Created(created)),
    }
}
