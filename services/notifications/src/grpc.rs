//! InboxService: decode, call the use case, encode.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use marquee_auth::{Principal, principal};
use marquee_error::Violations;
use marquee_proto::name::{AccountName, NotificationName};
use marquee_proto::notifications::v1 as proto;
use marquee_proto::notifications::v1::inbox_service_server::InboxService;
use tonic::{Request, Response, Status};

use crate::app::{App, FOREIGN_TOKEN, Marked, Message};
use crate::error::{Error, Result};
use crate::wire;

const DEFAULT_PAGE: usize = 50;
const LARGEST_PAGE: usize = 200;
/// The most notifications that one call marks by name.
const MOST_NAMES: usize = 500;

pub(crate) struct Inboxes(pub(crate) Arc<App>);

fn parent(caller: &Principal, parent: &str) -> Result<AccountName> {
    Ok(caller.resolve_account(parent, "parent")?)
}

fn count(unread: u64) -> i64 {
    i64::try_from(unread).unwrap_or(i64::MAX)
}

/// What a request marks, all its fields checked.
fn marked(account: &AccountName, request: &proto::MarkReadRequest) -> Result<Marked> {
    let mut violations = Violations::default();
    violations.check(request.all == request.names.is_empty(), "names", || {
        "give the names to mark, or set `all`, and not both".to_owned()
    });
    violations.check(request.names.len() <= MOST_NAMES, "names", || {
        format!(
            "has {} names, at most {MOST_NAMES} are allowed",
            request.names.len()
        )
    });
    let mut names = BTreeSet::new();
    for (n, name) in request.names.iter().enumerate().take(MOST_NAMES) {
        let full = match name.strip_prefix("accounts/me/") {
            Some(rest) => format!("{account}/{rest}"),
            None => name.clone(),
        };
        match full.parse::<NotificationName>() {
            Ok(parsed) => {
                violations.check(parsed.account() == *account, &format!("names[{n}]"), || {
                    format!("must be a notification of {account}")
                });
                names.insert(full);
            }
            Err(error) => violations.push(format!("names[{n}]"), error.to_string()),
        }
    }
    violations.finish()?;
    Ok(if request.all {
        Marked::All
    } else {
        Marked::These(names)
    })
}

impl Inboxes {
    async fn list(
        &self,
        request: Request<proto::ListNotificationsRequest>,
    ) -> Result<proto::ListNotificationsResponse> {
        let caller = principal(&request);
        let request = request.into_inner();
        let mut violations = Violations::default();
        let account = match caller.resolve_account(&request.parent, "parent") {
            Err(marquee_auth::Error::InvalidName(name)) => {
                for wrong in name.0 {
                    violations.push(wrong.field, wrong.description);
                }
                None
            }
            resolved => Some(resolved?),
        };
        violations.check(request.page_size >= 0, "page_size", || {
            "must not be negative".to_owned()
        });
        // The list itself refuses a foreign token; beside other wrong fields it is looked at here, by what the caller wrote
        // when that is no name.
        if !violations.is_empty() {
            let list_of = account
                .as_ref()
                .map_or_else(|| request.parent.clone(), ToString::to_string);
            let token = &request.page_token;
            let good = self.0.continues(&list_of, request.unread_only, token).await?;
            violations.check(good, "page_token", || FOREIGN_TOKEN.to_owned());
        }
        violations.finish()?;
        let account = account.ok_or_else(|| marquee_error::invalid("parent", "is required"))?;
        let size = match usize::try_from(request.page_size) {
            Ok(0) | Err(_) => DEFAULT_PAGE,
            Ok(size) => size.min(LARGEST_PAGE),
        };
        let page = self
            .0
            .list(&account, request.unread_only, size, &request.page_token)
            .await?;
        Ok(proto::ListNotificationsResponse {
            notifications: page
                .items
                .iter()
                .map(|stored| wire::notification(&stored.value))
                .collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        })
    }

    async fn unread(
        &self,
        request: Request<proto::GetUnreadCountRequest>,
    ) -> Result<proto::GetUnreadCountResponse> {
        let account = parent(&principal(&request), &request.get_ref().parent)?;
        Ok(proto::GetUnreadCountResponse {
            unread_count: count(self.0.unread_count(&account).await?),
        })
    }

    async fn mark(&self, request: Request<proto::MarkReadRequest>) -> Result<proto::MarkReadResponse> {
        let account = parent(&principal(&request), &request.get_ref().parent)?;
        let marked = marked(&account, request.get_ref())?;
        Ok(proto::MarkReadResponse {
            unread_count: count(self.0.mark_read(&account, &marked).await?),
        })
    }

    async fn watch(
        &self,
        request: Request<proto::WatchNotificationsRequest>,
    ) -> Result<impl Stream<Item = Result<Message>> + Send + 'static + use<>> {
        let account = parent(&principal(&request), &request.get_ref().parent)?;
        self.0.watch(&account, &request.get_ref().cursor).await
    }
}

fn message(message: Result<Message, Error>) -> Result<proto::WatchNotificationsResponse, Status> {
    let message = message?;
    Ok(proto::WatchNotificationsResponse {
        notification: message
            .notification
            .map(|notification| wire::notification(&notification)),
        cursor: message.cursor,
        unread_count: count(message.unread),
    })
}

#[tonic::async_trait]
impl InboxService for Inboxes {
    type WatchNotificationsStream =
        Pin<Box<dyn Stream<Item = Result<proto::WatchNotificationsResponse, Status>> + Send>>;

    async fn list_notifications(
        &self,
        request: Request<proto::ListNotificationsRequest>,
    ) -> Result<Response<proto::ListNotificationsResponse>, Status> {
        Ok(Response::new(self.list(request).await?))
    }

    async fn get_unread_count(
        &self,
        request: Request<proto::GetUnreadCountRequest>,
    ) -> Result<Response<proto::GetUnreadCountResponse>, Status> {
        Ok(Response::new(self.unread(request).await?))
    }

    async fn mark_read(
        &self,
        request: Request<proto::MarkReadRequest>,
    ) -> Result<Response<proto::MarkReadResponse>, Status> {
        Ok(Response::new(self.mark(request).await?))
    }

    async fn watch_notifications(
        &self,
        request: Request<proto::WatchNotificationsRequest>,
    ) -> Result<Response<Self::WatchNotificationsStream>, Status> {
        let messages = self.watch(request).await?.map(message);
        Ok(Response::new(Box::pin(messages)))
    }
}
