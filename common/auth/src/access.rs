use std::collections::HashMap;
use std::sync::LazyLock;

use marquee_proto::DESCRIPTORS;
use prost_reflect::Value;

use crate::{Error, Principal};

/// Who may call an RPC: the option `marquee.auth.v1.access` of its method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, with or without a token.
    Public,
    /// A signed-in account or a service.
    Account,
    /// An admin or a service.
    Admin,
    /// A service.
    Service,
}

impl Access {
    fn from_number(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Public),
            2 => Some(Self::Account),
            3 => Some(Self::Admin),
            4 => Some(Self::Service),
            _ => None,
        }
    }

    /// Passes a caller or says why not.
    pub fn check(self, principal: &Principal) -> Result<(), Error> {
        let (passes, whom) = match self {
            Self::Public => (true, ""),
            Self::Account => (*principal != Principal::Anonymous, ""),
            Self::Admin => (principal.is_admin(), "this is for admins"),
            Self::Service => (principal.is_service(), "this is for services"),
        };
        match principal {
            _ if passes => Ok(()),
            Principal::Anonymous => Err(Error::TokenMissing),
            Principal::Account { .. } | Principal::Service { .. } => {
                Err(Error::PermissionDenied(whom.to_owned()))
            }
        }
    }
}

/// `/package.Service/Method` of every RPC of ours and what its option says.
static TABLE: LazyLock<HashMap<String, Option<Access>>> = LazyLock::new(|| {
    let extension = DESCRIPTORS.get_extension_by_name("marquee.auth.v1.access");
    DESCRIPTORS
        .services()
        .filter(|service| service.full_name().starts_with("marquee."))
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            let access = extension.as_ref().and_then(|extension| {
                match method.options().get_extension(extension).as_ref() {
                    Value::EnumNumber(number) => Access::from_number(*number),
                    _ => None,
                }
            });
            (path, access)
        })
        .collect()
});

/// Who may call the RPC at `/package.Service/Method`.
///
/// Errors: [`Error::UnknownMethod`] when there is no such RPC; [`Error::PermissionDenied`] when its proto does not say,
/// which nobody gets past.
pub fn access(path: &str) -> Result<Access, Error> {
    match TABLE.get(path) {
        Some(Some(access)) => Ok(*access),
        Some(None) => Err(Error::PermissionDenied(
            "its proto does not say who may call this".to_owned(),
        )),
        None => Err(Error::UnknownMethod(path.chars().take(200).collect())),
    }
}

#[cfg(test)]
pub(crate) fn table() -> impl Iterator<Item = (&'static str, Option<Access>)> {
    TABLE.iter().map(|(path, access)| (path.as_str(), *access))
}
