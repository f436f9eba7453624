use marquee_error::invalid;
use marquee_proto::name::AccountName;

use crate::Error;

/// What an account or a service may do in general.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A person; whether they are a creator depends on the channel.
    Viewer,
    /// The installation's owner.
    Admin,
    /// A Marquee service.
    Service,
}

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Somebody without a token.
    Anonymous,
    /// Somebody who signed in.
    Account {
        /// Who.
        name: AccountName,
        /// [`Role::Viewer`] or [`Role::Admin`].
        role: Role,
    },
    /// A peer.
    Service {
        /// Which, for example `events`.
        service: String,
    },
}

impl Principal {
    /// The account that signed in.
    pub const fn account(&self) -> Option<&AccountName> {
        match self {
            Self::Account { name, .. } => Some(name),
            Self::Anonymous | Self::Service { .. } => None,
        }
    }

    /// True for admins, and for services, which are as trusted.
    pub const fn is_admin(&self) -> bool {
        matches!(
            self,
            Self::Account {
                role: Role::Admin,
                ..
            } | Self::Service { .. }
        )
    }

    /// True for peers.
    pub const fn is_service(&self) -> bool {
        matches!(self, Self::Service { .. })
    }

    /// The account that signed in, or [`Error::TokenMissing`]; a service has none and is denied.
    pub fn signed_in(&self) -> Result<&AccountName, Error> {
        match self {
            Self::Account { name, .. } => Ok(name),
            Self::Anonymous => Err(Error::TokenMissing),
            Self::Service { service } => Err(Error::PermissionDenied(format!(
                "this is for accounts, not for the service {service}"
            ))),
        }
    }

    /// Passes the account itself, admins and services. To be asked before the account is looked up, so that strangers
    /// do not learn which accounts there are.
    pub fn require_account(&self, name: &AccountName) -> Result<(), Error> {
        if self.is_admin() || self.account() == Some(name) {
            return Ok(());
        }
        if *self == Self::Anonymous {
            return Err(Error::TokenMissing);
        }
        Err(Error::PermissionDenied(format!(
            "only {name} and admins may do this"
        )))
    }

    /// The account that `accounts/me` or `accounts/{account}` in `field` means to this caller, who has to be that
    /// account, an admin or a service.
    pub fn resolve_account(&self, name: &str, field: &str) -> Result<AccountName, Error> {
        if name == "accounts/me" {
            return match self {
                Self::Service { .. } => Err(Error::InvalidName(invalid(
                    field,
                    "a service has no `accounts/me`",
                ))),
                Self::Anonymous | Self::Account { .. } => self.signed_in().cloned(),
            };
        }
        let name = name
            .parse::<AccountName>()
            .map_err(|error| Error::InvalidName(invalid(field, error.to_string())))?;
        self.require_account(&name)?;
        Ok(name)
    }

    /// What tells this caller from others: for request keys and rate limits.
    pub fn id(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::Account { name, .. } => name.to_string(),
            Self::Service { service } => format!("services/{service}"),
        }
    }
}

/// Who sent a request, as the guard found; [`Principal::Anonymous`] when no guard stands before the service.
pub fn principal<T>(request: &tonic::Request<T>) -> Principal {
    request
        .extensions()
        .get::<Principal>()
        .cloned()
        .unwrap_or(Principal::Anonymous)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: &str, role: Role) -> Principal {
        let name = AccountName::new(id).unwrap();
        Principal::Account { name, role }
    }

    #[test]
    fn an_account_is_open_to_itself_admins_and_services() {
        let name = AccountName::new("a1").unwrap();
        let service = Principal::Service {
            service: "events".to_owned(),
        };
        for allowed in [account("a1", Role::Viewer), account("root", Role::Admin), service] {
            assert!(allowed.require_account(&name).is_ok(), "{allowed:?}");
        }
        let denied = account("a2", Role::Viewer).require_account(&name);
        assert!(matches!(denied, Err(Error::PermissionDenied(_))));
        assert!(matches!(
            Principal::Anonymous.require_account(&name),
            Err(Error::TokenMissing)
        ));
    }

    #[test]
    fn me_is_the_caller() {
        let me = account("a1", Role::Viewer)
            .resolve_account("accounts/me", "name")
            .unwrap();
        assert_eq!(me.to_string(), "accounts/a1");
        assert!(matches!(
            Principal::Anonymous.resolve_account("accounts/me", "name"),
            Err(Error::TokenMissing)
        ));
    }

    #[test]
    fn an_ill_formed_name_names_the_field() {
        let error = account("a1", Role::Viewer)
            .resolve_account("people/a1", "parent")
            .unwrap_err();
        let Error::InvalidName(invalid) = error else {
            panic!("{error:?}")
        };
        assert_eq!(invalid.0.first().unwrap().field, "parent");
    }
}
