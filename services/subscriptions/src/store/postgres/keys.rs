//! Signing keys.

use sqlx::postgres::PgConnection;
use sqlx::{Row as _, query};

use super::row::{micros, text, time};
use crate::store::SigningKey;

/// All keys, newest first; `key` becomes the first one when there is none.
///
/// Of two processes that find none at the same time one commits. The other has read what the first one wrote, so it
/// cannot be serialized after it, is done again, and finds the key.
pub(super) async fn all_or(
    connection: &mut PgConnection,
    key: &SigningKey,
) -> Result<Vec<SigningKey>, sqlx::Error> {
    let rows = query("SELECT kid, pkcs8, create_time FROM signing_keys ORDER BY create_time DESC, kid")
        .fetch_all(&mut *connection)
        .await?;
    if !rows.is_empty() {
        return rows
            .iter()
            .map(|row| {
                Ok(SigningKey {
                    kid: text(row, "kid")?,
                    pkcs8: row.try_get("pkcs8")?,
                    create_time: time(row, "create_time")?,
                })
            })
            .collect();
    }
    query("INSERT INTO signing_keys (kid, pkcs8, create_time) VALUES ($1, $2, $3)")
        .bind(&key.kid)
        .bind(&key.pkcs8)
        .bind(micros(key.create_time))
        .execute(connection)
        .await?;
    Ok(vec![key.clone()])
}
