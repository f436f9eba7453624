//! Accounts, and first answers.

use bytes::Bytes;
use jiff::Timestamp;
use marquee_proto::name::AccountName;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::row::{bytes, limit, malformed, micros, time, version};
use crate::domain::account::{Account, BirthDate, DisplayName, Gender, Profile, Role};
use crate::domain::country::Country;
use crate::domain::email::Email;
use crate::domain::version::Version;
use crate::store::{Credential, Reply, RequestKey};

/// False when the address is taken.
pub(super) fn insert(
    connection: &Connection,
    account: &Account,
    password_hash: &str,
) -> rusqlite::Result<bool> {
    let profile = &account.profile;
    let rows = connection
        .prepare_cached(
            "INSERT INTO accounts (id, email, email_key, password_hash, display_name, country, birth_date, gender, role,
                                   create_time, version)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (email_key) DO NOTHING",
        )?
        .execute(params![
            account.name.account,
            account.email.as_str(),
            account.email.key(),
            password_hash,
            profile.display_name.as_str(),
            profile.country.as_ref().map(Country::as_str),
            profile.birth_date.map(|date| date.to_string()),
            profile.gender.as_ref().map(Gender::as_str),
            account.role.as_str(),
            micros(account.create_time),
            account.version.0,
        ])?;
    Ok(rows == 1)
}

/// False when the row is not at `read`.
pub(super) fn update(connection: &Connection, account: &Account, read: Version) -> rusqlite::Result<bool> {
    let profile = &account.profile;
    let rows = connection
        .prepare_cached(
            "UPDATE accounts SET display_name = ?3, country = ?4, birth_date = ?5, gender = ?6, version = ?7
             WHERE id = ?1 AND version = ?2",
        )?
        .execute(params![
            account.name.account,
            read.0,
            profile.display_name.as_str(),
            profile.country.as_ref().map(Country::as_str),
            profile.birth_date.map(|date| date.to_string()),
            profile.gender.as_ref().map(Gender::as_str),
            account.version.0,
        ])?;
    Ok(rows == 1)
}

pub(super) fn get(connection: &Connection, name: &AccountName) -> rusqlite::Result<Option<Account>> {
    connection
        .prepare_cached("SELECT * FROM accounts WHERE id = ?1")?
        .query_row([&name.account], read)
        .optional()
}

pub(super) fn credential(connection: &Connection, email: &Email) -> rusqlite::Result<Option<Credential>> {
    connection
        .prepare_cached("SELECT * FROM accounts WHERE email_key = ?1")?
        .query_row([email.key()], |row| {
            Ok(Credential {
                account: read(row)?,
                password_hash: row.get("password_hash")?,
            })
        })
        .optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Account> {
    let text = |column: &str| row.get::<_, String>(column);
    let optional = |column: &str| row.get::<_, Option<String>>(column);
    Ok(Account {
        name: AccountName::new(text("id")?).map_err(|_| malformed("id"))?,
        email: Email::parse(&text("email")?).map_err(|_| malformed("email"))?,
        profile: Profile {
            display_name: DisplayName::parse(&text("display_name")?)
                .map_err(|_| malformed("display_name"))?,
            country: optional("country")?
                .map(|code| Country::parse(&code).map_err(|_| malformed("country")))
                .transpose()?,
            birth_date: optional("birth_date")?
                .map(|date| BirthDate::stored(&date).ok_or_else(|| malformed("birth_date")))
                .transpose()?,
            gender: optional("gender")?
                .map(|gender| Gender::parse(&gender).map_err(|_| malformed("gender")))
                .transpose()?,
        },
        role: Role::parse(&text("role")?).ok_or_else(|| malformed("role"))?,
        create_time: time(row, "create_time")?,
        version: version(row)?,
    })
}

/// False when there is an answer to the request already.
pub(super) fn remember(connection: &Connection, reply: &Reply) -> rusqlite::Result<bool> {
    let rows = connection
        .prepare_cached(
            "INSERT INTO replies (rpc, caller, request_id, fingerprint, answer, create_time)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (rpc, caller, request_id) DO NOTHING",
        )?
        .execute(params![
            reply.key.rpc,
            reply.key.caller,
            reply.key.request_id,
            reply.fingerprint.as_slice(),
            reply.answer.as_ref(),
            micros(reply.create_time),
        ])?;
    Ok(rows == 1)
}

pub(super) fn reply(connection: &Connection, key: &RequestKey) -> rusqlite::Result<Option<Reply>> {
    connection
        .prepare_cached("SELECT * FROM replies WHERE rpc = ?1 AND caller = ?2 AND request_id = ?3")?
        .query_row((key.rpc, &key.caller, &key.request_id), |row| {
            Ok(Reply {
                key: key.clone(),
                fingerprint: bytes(row, "fingerprint")?,
                answer: Bytes::from(row.get::<_, Vec<u8>>("answer")?),
                create_time: time(row, "create_time")?,
            })
        })
        .optional()
}

pub(super) fn purge_replies(
    connection: &Connection,
    before: Timestamp,
    max: usize,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM replies WHERE (rpc, caller, request_id) IN
                 (SELECT rpc, caller, request_id FROM replies WHERE create_time < ?1 ORDER BY create_time LIMIT ?2)",
        )?
        .execute((micros(before), limit(max)))
}
