//! Signing keys.

use rusqlite::Connection;

use super::row::{collect, micros, time};
use crate::store::SigningKey;

/// All keys, newest first; `key` becomes the first one when there is none.
pub(super) fn all_or(connection: &Connection, key: SigningKey) -> rusqlite::Result<Vec<SigningKey>> {
    let keys = collect(
        connection,
        "SELECT * FROM signing_keys ORDER BY create_time DESC, kid",
        [],
        |row| {
            Ok(SigningKey {
                kid: row.get("kid")?,
                pkcs8: row.get("pkcs8")?,
                create_time: time(row, "create_time")?,
            })
        },
    )?;
    if !keys.is_empty() {
        return Ok(keys);
    }
    connection
        .prepare_cached("INSERT INTO signing_keys (kid, pkcs8, create_time) VALUES (?1, ?2, ?3)")?
        .execute((&key.kid, &key.pkcs8, micros(key.create_time)))?;
    Ok(vec![key])
}
