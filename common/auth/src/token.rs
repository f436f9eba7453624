use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use jiff::Timestamp;
use marquee_proto::name::AccountName;

use crate::{Error, Principal, Role};

/// Who issues tokens.
pub const ISSUER: &str = "marquee";
/// Whom tokens are for.
pub const AUDIENCE: &str = "marquee";
/// How far clocks may be apart.
pub const LEEWAY: Duration = Duration::from_secs(5);
/// Longer than every token of ours; what is longer is not even read.
const MAX_TOKEN: usize = 4_096;

/// What a token says (RFC 7519 4.1).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Claims {
    /// `accounts/{account}` or `services/{service}`.
    pub sub: String,
    /// What the subject may do.
    pub role: Role,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// [`ISSUER`].
    pub iss: String,
    /// [`AUDIENCE`].
    pub aud: String,
    /// The token's own id.
    pub jti: String,
}

impl Claims {
    /// The claims of an account's token that is good for `lifetime` (whole seconds) from `now` on.
    pub fn account(name: &AccountName, role: Role, now: Timestamp, lifetime: Duration) -> Self {
        Self::new(name.to_string(), role, now, lifetime)
    }

    /// The claims of a service's token that is good for `lifetime` (whole seconds) from `now` on.
    pub fn service(service: &str, now: Timestamp, lifetime: Duration) -> Self {
        Self::new(format!("services/{service}"), Role::Service, now, lifetime)
    }

    fn new(sub: String, role: Role, now: Timestamp, lifetime: Duration) -> Self {
        let iat = now.as_second();
        Self {
            sub,
            role,
            iat,
            exp: iat.saturating_add_unsigned(lifetime.as_secs()),
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            jti: uuid::Uuid::now_v7().simple().to_string(),
        }
    }

    /// True from the moment on at which the token is refused.
    pub(crate) fn expired(exp: i64, now: Timestamp) -> bool {
        now.as_second() >= exp.saturating_add_unsigned(LEEWAY.as_secs())
    }

    /// Whom the claims speak of, when they are for us and the time is right.
    pub(crate) fn check(&self, now: Timestamp) -> Result<Principal, Error> {
        if self.iss != ISSUER || self.aud != AUDIENCE {
            return Err(Error::TokenInvalid("it is from or for somebody else"));
        }
        if self.iat > now.as_second().saturating_add_unsigned(LEEWAY.as_secs()) {
            return Err(Error::TokenInvalid("it is from the future: compare the clocks"));
        }
        if Self::expired(self.exp, now) {
            return Err(Error::TokenExpired);
        }
        let foreign = || Error::TokenInvalid("its subject and role do not go together");
        match self.role {
            Role::Service => match self.sub.strip_prefix("services/") {
                Some(service) if marquee_proto::name::is_valid_id(service) => Ok(Principal::Service {
                    service: service.to_owned(),
                }),
                _ => Err(foreign()),
            },
            role @ (Role::Viewer | Role::Admin) => match self.sub.parse() {
                Ok(name) => Ok(Principal::Account { name, role }),
                Err(_) => Err(foreign()),
            },
        }
    }
}

#[derive(serde::Deserialize)]
struct Header {
    alg: String,
    kid: String,
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

/// A token in its parts; nothing in it is to be believed before [`Token::claims`].
pub(crate) struct Token<'t> {
    /// The id of the key that it says it is signed with.
    pub(crate) kid: String,
    signed: &'t [u8],
    payload: &'t str,
    signature: Signature,
}

impl<'t> Token<'t> {
    /// Takes a JWS in compact serialisation (RFC 7515 7.1) apart.
    pub(crate) fn parse(text: &'t str) -> Result<Self, Error> {
        if text.len() > MAX_TOKEN {
            return Err(Error::TokenInvalid("it is too long"));
        }
        let shape = || Error::TokenInvalid("it is not a JWT");
        let (signed, signature) = text.rsplit_once('.').ok_or_else(shape)?;
        let (header, payload) = signed.split_once('.').ok_or_else(shape)?;
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| shape())?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| shape())?;
        // RFC 8725 3.1: the algorithm is ours to choose, not the token's. RFC 7515 4.1.11: no extension is known here.
        if header.alg != "EdDSA" || header.crit.is_some() {
            return Err(Error::TokenInvalid("it is not signed with EdDSA"));
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| shape())?;
        let signature = Signature::from_slice(&signature).map_err(|_| shape())?;
        Ok(Self {
            kid: header.kid,
            signed: signed.as_bytes(),
            payload,
            signature,
        })
    }

    /// What the token says, when the key signed it.
    pub(crate) fn claims(&self, key: &VerifyingKey) -> Result<Claims, Error> {
        key.verify_strict(self.signed, &self.signature)
            .map_err(|_| Error::TokenInvalid("its signature is wrong"))?;
        let payload = URL_SAFE_NO_PAD.decode(self.payload);
        payload
            .ok()
            .and_then(|payload| serde_json::from_slice(&payload).ok())
            .ok_or(Error::TokenInvalid("its claims are not ours"))
    }
}
