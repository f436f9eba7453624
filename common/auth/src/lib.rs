//! Who is calling, and whether they may.
//!
//! ```text
//!   Signer ──JWT──► client ──authorization: Bearer──► Guard ──Principal──► service ── require_account ──► resource
//!     │                                                 │  └─ marquee.auth.v1.access of the RPC's descriptor
//!     └──── Jwk ────► KeySource ◄──── Verifier ◄────────┘
//! ```
//!
//! Tokens are JWTs signed with EdDSA over Ed25519 (RFC 7519, RFC 8037) and nothing else. The guard decides by the kind
//! of caller; who owns a resource is the business of the service behind it.

mod access;
mod error;
mod guard;
mod jwk;
mod playback;
mod principal;
mod signer;
mod token;
mod verifier;

pub use access::{Access, access};
pub use error::Error;
pub use guard::{Guard, GuardLayer};
pub use jwk::Jwk;
pub use playback::{PlaybackClaims, PlaybackVerifier};
pub use principal::{Principal, Role, principal};
pub use signer::Signer;
pub use token::{AUDIENCE, Claims, ISSUER, LEEWAY};
pub use verifier::{KeySource, StaticKeys, TokenSource, Verifier};
