//! Fields of requests as domain values; what is wrong with them is collected, so that a caller learns it all at once.

use std::fmt::Display;
use std::str::FromStr;

use marquee_auth::Principal;
use marquee_error::{Invalid, Violations, invalid};
use marquee_proto::name::{AccountName, FollowName, InvalidName, MembershipName, ReminderName};

use crate::app::{App, Owner};
use crate::domain::page::{Cursor, Page, size};
use crate::error::Error;

/// The fields of one request.
pub(super) struct Fields<'a> {
    caller: &'a Principal,
    violations: Violations,
}

/// A name of something that belongs to an account.
pub(super) trait Owned: FromStr<Err = InvalidName> {
    /// The id of the account in the name.
    fn account_id(&mut self) -> &mut String;
}

macro_rules! owned {
    ($($name:ty),+) => {
        $(impl Owned for $name {
            fn account_id(&mut self) -> &mut String {
                &mut self.account
            }
        })+
    };
}

owned!(AccountName, MembershipName, FollowName, ReminderName);

impl<'a> Fields<'a> {
    pub(super) fn new(caller: &'a Principal) -> Self {
        Self {
            caller,
            violations: Violations::default(),
        }
    }

    /// The value, or a violation of `field`.
    pub(super) fn take<T, E: Display>(&mut self, field: &str, value: Result<T, E>) -> Option<T> {
        self.violations.take(field, value)
    }

    /// The value of an optional field: `Some(None)` when it is not set.
    pub(super) fn optional<T, E: Display>(
        &mut self,
        field: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Option<T>> {
        if text.trim().is_empty() {
            return Some(None);
        }
        self.take(field, parse(text)).map(Some)
    }

    /// A field that must not be empty.
    pub(super) fn required<'t>(&mut self, field: &str, text: &'t str) -> Option<&'t str> {
        let value = if text.is_empty() {
            Err("is required")
        } else {
            Ok(text)
        };
        self.take(field, value)
    }

    /// A resource name.
    pub(super) fn name<N: FromStr<Err = InvalidName>>(&mut self, field: &str, text: &str) -> Option<N> {
        self.take(field, text.parse())
    }

    /// The name of something that belongs to an account; `accounts/me` is the caller's.
    pub(super) fn owned<N: Owned>(&mut self, field: &str, text: &str) -> Option<N> {
        let mut name: N = self.name(field, text)?;
        if name.account_id() == "me" {
            let me = self.caller.account().ok_or("a service has no `accounts/me`");
            name.account_id().clone_from(&self.take(field, me)?.account);
        }
        Some(name)
    }

    /// The account that a name leads to, as one whose resources the caller may touch. Whoever may not is told so
    /// before anything else is looked at; `None` when the name was refused.
    pub(super) async fn owner(
        &self,
        app: &App,
        account: Option<AccountName>,
    ) -> Result<Option<Owner>, Error> {
        match account {
            Some(account) => app.owner(self.caller, account).await.map(Some),
            None => Ok(None),
        }
    }

    /// A UUID in canonical spelling.
    pub(super) fn request_id(&mut self, text: &str) -> Option<String> {
        let uuid = uuid::Uuid::try_parse(text).map_err(|_| "must be a UUID");
        self.take("request_id", uuid).map(|uuid| uuid.to_string())
    }

    /// The page of a list that `page_size` and `page_token` ask for.
    pub(super) fn page(&mut self, list: Option<&str>, page_size: i32, page_token: &str) -> Option<Page> {
        let size = self.take("page_size", size(page_size));
        let after = match (list, page_token) {
            (_, "") => Some(None),
            (None, _) => None,
            (Some(list), token) => self.take("page_token", Cursor::from_token(token, list)).map(Some),
        };
        Some(Page {
            size: size?,
            after: after?,
        })
    }

    /// True when nothing is wrong so far.
    pub(super) fn is_valid(&self) -> bool {
        self.violations.is_empty()
    }

    /// What is wrong. To be called when a value is missing, which it only is with a violation.
    pub(super) fn refuse(self) -> Invalid {
        self.violations
            .finish()
            .err()
            .unwrap_or_else(|| invalid("", "the request is not valid"))
    }
}

#[cfg(test)]
mod tests {
    use marquee_auth::Role;

    use super::*;

    fn ada() -> Principal {
        Principal::Account {
            name: AccountName::new("ada").unwrap(),
            role: Role::Viewer,
        }
    }

    #[test]
    fn me_is_the_caller_in_every_name() {
        let caller = ada();
        let mut fields = Fields::new(&caller);
        let name: MembershipName = fields.owned("name", "accounts/me/memberships/m1").unwrap();
        assert_eq!(name.to_string(), "accounts/ada/memberships/m1");
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let caller = ada();
        let mut fields = Fields::new(&caller);
        assert!(fields.owned::<FollowName>("name", "follows/x").is_none());
        assert!(fields.page(Some("list"), -1, "garbage!").is_none());
        let told: Vec<_> = fields
            .refuse()
            .0
            .into_iter()
            .map(|violation| violation.field)
            .collect();
        assert_eq!(told, ["name", "page_size", "page_token"]);
    }

    #[test]
    fn a_request_id_is_the_same_however_the_uuid_is_spelt() {
        let caller = ada();
        let mut fields = Fields::new(&caller);
        let one = fields.request_id("0191F0A0-0000-7000-8000-000000000001").unwrap();
        let two = fields.request_id("0191f0a0000070008000000000000001").unwrap();
        assert_eq!(one, two);
        assert!(fields.request_id("1").is_none());
    }
}
