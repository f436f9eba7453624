//! Accounts, and first answers.

use bytes::Bytes;
use jiff::Timestamp;
use marquee_proto::name::AccountName;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row as _, query};

use super::row::{bytes, limit, malformed, micros, optional, text, time, version};
use crate::domain::account::{Account, BirthDate, DisplayName, Gender, Profile, Role};
use crate::domain::country::Country;
use crate::domain::email::Email;
use crate::domain::version::Version;
use crate::store::{Credential, Reply, RequestKey};

/// False when the address is taken.
pub(super) async fn insert(
    connection: &mut PgConnection,
    account: &Account,
    password_hash: &str,
) -> Result<bool, sqlx::Error> {
    let profile = &account.profile;
    let done = query(
        "INSERT INTO accounts (id, email, email_key, password_hash, display_name, country, birth_date, gender, role,
                               create_time, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (email_key) DO NOTHING",
    )
    .bind(&account.name.account)
    .bind(account.email.as_str())
    .bind(account.email.key())
    .bind(password_hash)
    .bind(profile.display_name.as_str())
    .bind(profile.country.as_ref().map(Country::as_str))
    .bind(profile.birth_date.map(|date| date.to_string()))
    .bind(profile.gender.as_ref().map(Gender::as_str))
    .bind(account.role.as_str())
    .bind(micros(account.create_time))
    .bind(account.version.0)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// False when the row is not at `read`.
pub(super) async fn update(
    connection: &mut PgConnection,
    account: &Account,
    read: Version,
) -> Result<bool, sqlx::Error> {
    let profile = &account.profile;
    let done = query(
        "UPDATE accounts SET display_name = $3, country = $4, birth_date = $5, gender = $6, version = $7
         WHERE id = $1 AND version = $2",
    )
    .bind(&account.name.account)
    .bind(read.0)
    .bind(profile.display_name.as_str())
    .bind(profile.country.as_ref().map(Country::as_str))
    .bind(profile.birth_date.map(|date| date.to_string()))
    .bind(profile.gender.as_ref().map(Gender::as_str))
    .bind(account.version.0)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn get(
    connection: &mut PgConnection,
    name: &AccountName,
) -> Result<Option<Account>, sqlx::Error> {
    let row = query(
        "SELECT id, email, display_name, country, birth_date, gender, role, create_time, version
         FROM accounts WHERE id = $1",
    )
    .bind(&name.account)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn credential(
    connection: &mut PgConnection,
    email: &Email,
) -> Result<Option<Credential>, sqlx::Error> {
    let row = query(
        "SELECT id, email, password_hash, display_name, country, birth_date, gender, role, create_time, version
         FROM accounts WHERE email_key = $1",
    )
    .bind(email.key())
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(Credential {
            account: read(&row)?,
            password_hash: text(&row, "password_hash")?,
        })
    })
    .transpose()
}

fn read(row: &PgRow) -> Result<Account, sqlx::Error> {
    Ok(Account {
        name: AccountName::new(text(row, "id")?).map_err(|_| malformed("id"))?,
        email: Email::parse(&text(row, "email")?).map_err(|_| malformed("email"))?,
        profile: Profile {
            display_name: DisplayName::parse(&text(row, "display_name")?)
                .map_err(|_| malformed("display_name"))?,
            country: optional(row, "country")?
                .map(|code| Country::parse(&code).map_err(|_| malformed("country")))
                .transpose()?,
            birth_date: optional(row, "birth_date")?
                .map(|date| BirthDate::stored(&date).ok_or_else(|| malformed("birth_date")))
                .transpose()?,
            gender: optional(row, "gender")?
                .map(|gender| Gender::parse(&gender).map_err(|_| malformed("gender")))
                .transpose()?,
        },
        role: Role::parse(&text(row, "role")?).ok_or_else(|| malformed("role"))?,
        create_time: time(row, "create_time")?,
        version: version(row)?,
    })
}

/// False when there is an answer to the request already.
pub(super) async fn remember(connection: &mut PgConnection, reply: &Reply) -> Result<bool, sqlx::Error> {
    let done = query(
        "INSERT INTO replies (rpc, caller, request_id, fingerprint, answer, create_time)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (rpc, caller, request_id) DO NOTHING",
    )
    .bind(reply.key.rpc)
    .bind(&reply.key.caller)
    .bind(&reply.key.request_id)
    .bind(reply.fingerprint.as_slice())
    .bind(reply.answer.as_ref())
    .bind(micros(reply.create_time))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn reply(
    connection: &mut PgConnection,
    key: &RequestKey,
) -> Result<Option<Reply>, sqlx::Error> {
    let row = query(
        "SELECT fingerprint, answer, create_time FROM replies WHERE rpc = $1 AND caller = $2 AND request_id = $3",
    )
    .bind(key.rpc)
    .bind(&key.caller)
    .bind(&key.request_id)
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(Reply {
            key: key.clone(),
            fingerprint: bytes(&row, "fingerprint")?,
            answer: Bytes::from(row.try_get::<Vec<u8>, _>("answer")?),
            create_time: time(&row, "create_time")?,
        })
    })
    .transpose()
}

pub(super) async fn purge_replies(
    connection: &mut PgConnection,
    before: Timestamp,
    max: usize,
) -> Result<u64, sqlx::Error> {
    let done = query(
        "DELETE FROM replies WHERE (rpc, caller, request_id) IN
             (SELECT rpc, caller, request_id FROM replies WHERE create_time < $1 ORDER BY create_time LIMIT $2)",
    )
    .bind(micros(before))
    .bind(limit(max))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
