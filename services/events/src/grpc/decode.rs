//! Fields of requests that are decoded the same way everywhere.

use marquee_auth::Principal;
use marquee_documents::RequestKey;
use marquee_error::{Invalid, Violations};
use marquee_proto::name::InvalidName;

const DEFAULT_PAGE: usize = 50;
const LARGEST_PAGE: usize = 200;

/// A resource name.
pub(super) fn name<N: std::str::FromStr<Err = InvalidName>>(field: &str, text: &str) -> Result<N, Invalid> {
    text.parse()
        .map_err(|error: InvalidName| marquee_error::invalid(field, error.to_string()))
}

/// 0 means 50, more than 200 is 200, less than 0 is wrong.
pub(super) fn page_size(violations: &mut Violations, size: i32) -> usize {
    violations.check(size >= 0, "page_size", || "must not be negative".to_owned());
    match usize::try_from(size) {
        Ok(0) | Err(_) => DEFAULT_PAGE,
        Ok(size) => size.min(LARGEST_PAGE),
    }
}

/// What tells a replay of the request; without an id nothing does. `request` comes without its `request_id`: the same
/// UUID can be written in several ways, and each is the same request.
pub(super) fn request_key(
    violations: &mut Violations,
    caller: &Principal,
    rpc: &str,
    request_id: &str,
    request: &impl prost::Message,
) -> RequestKey {
    let id = match request_id {
        "" => Ok(String::new()),
        id => uuid::Uuid::parse_str(id).map(|id| id.to_string()),
    };
    violations.check(id.is_ok(), "request_id", || "must be a UUID".to_owned());
    RequestKey::new(&caller.id(), rpc, &id.unwrap_or_default(), request)
}

/// The fields that the mask names, without the paths that can't be changed, which are noted; `None` when it names none,
/// which means every field that is set.
pub(super) fn update_mask<F: Copy>(
    violations: &mut Violations,
    mask: Option<&prost_types::FieldMask>,
    allowed: &[(&str, F)],
) -> Option<Vec<F>> {
    let mask = mask.filter(|mask| !mask.paths.is_empty())?;
    let mut fields = Vec::new();
    for path in &mask.paths {
        match allowed.iter().find(|(name, _)| name == path) {
            Some((_, field)) => fields.push(*field),
            None => {
                let names: Vec<_> = allowed.iter().map(|(name, _)| *name).collect();
                let path: String = path.chars().take(40).collect();
                violations.push(
                    "update_mask",
                    format!("`{path}` can't be changed; allowed are {}", names.join(", ")),
                );
            }
        }
    }
    Some(fields)
}
