//! Page tokens: the place after the last item, bound to the query. Opaque to clients.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Error, Query};

/// Where a page ended.
#[derive(Serialize, Deserialize)]
pub(crate) struct Place {
    /// The values of the index's fields after those that the query fixes.
    pub(crate) values: Vec<Value>,
    pub(crate) id: String,
}

pub(crate) fn encode(collection: &str, query: &Query, place: &Place) -> Result<String, Error> {
    let json = serde_json::to_vec(&(binding(collection, query), place)).map_err(Error::other)?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

pub(crate) fn decode(collection: &str, query: &Query) -> Result<Option<Place>, Error> {
    let Some(token) = &query.after else {
        return Ok(None);
    };
    let json = URL_SAFE_NO_PAD
        .decode(token)
        .map_err(|_| Error::InvalidPageToken)?;
    let (bound, place): (String, Place) =
        serde_json::from_slice(&json).map_err(|_| Error::InvalidPageToken)?;
    if bound == binding(collection, query) {
        Ok(Some(place))
    } else {
        Err(Error::InvalidPageToken)
    }
}

/// Everything of a query but its limit, which may change from page to page (AIP-158).
fn binding(collection: &str, query: &Query) -> String {
    let bounds: Vec<_> = query
        .bounds
        .iter()
        .map(|(bound, value)| (bound.operator(), value))
        .collect();
    let text =
        serde_json::json!([collection, query.index, query.equals, bounds, query.descending]).to_string();
    URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..9])
}
