//! Plans, memberships and payments.

use jiff::Timestamp;
use marquee_proto::name::{AccountName, MembershipName, PaymentName, PlanName};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::row::{account, collect, limit, malformed, micros, money, page, time, version};
use crate::domain::membership::{Membership, State};
use crate::domain::page::{Cursor, Page, Rows};
use crate::domain::payment::{Payment, PaymentResult};
use crate::domain::plan::{Period, Plan};
use crate::domain::version::Version;

pub(super) fn seed_plans(connection: &Connection, plans: &[Plan]) -> rusqlite::Result<()> {
    let known: i64 = connection.query_row("SELECT count(*) FROM plans", [], |row| row.get(0))?;
    if known > 0 {
        return Ok(());
    }
    for plan in plans {
        let features = serde_json::to_string(&plan.features).map_err(|_| malformed("features"))?;
        connection
            .prepare_cached(
                "INSERT INTO plans (id, display_name, minor_units, currency, period, features, tier)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                plan.name.plan,
                plan.display_name,
                plan.price.minor_units(),
                plan.price.currency().code(),
                plan.period.as_str(),
                features,
                plan.tier,
            ])?;
    }
    Ok(())
}

pub(super) fn plans(connection: &Connection) -> rusqlite::Result<Vec<Plan>> {
    collect(
        connection,
        "SELECT * FROM plans ORDER BY minor_units, tier, id",
        [],
        read_plan,
    )
}

pub(super) fn plan(connection: &Connection, name: &PlanName) -> rusqlite::Result<Option<Plan>> {
    connection
        .prepare_cached("SELECT * FROM plans WHERE id = ?1")?
        .query_row([&name.plan], read_plan)
        .optional()
}

fn read_plan(row: &Row<'_>) -> rusqlite::Result<Plan> {
    let text = |column: &str| row.get::<_, String>(column);
    Ok(Plan {
        name: PlanName::new(text("id")?).map_err(|_| malformed("id"))?,
        display_name: text("display_name")?,
        price: money(row)?,
        period: Period::parse(&text("period")?).ok_or_else(|| malformed("period"))?,
        features: serde_json::from_str(&text("features")?).map_err(|_| malformed("features"))?,
        tier: row.get("tier")?,
    })
}

pub(super) fn insert_membership(connection: &Connection, membership: &Membership) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO memberships (account, id, plan, state, period_start, period_end, create_time, version)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            &membership.name.account,
            &membership.name.membership,
            &membership.plan.plan,
            membership.state.as_str(),
            micros(membership.period_start),
            micros(membership.period_end),
            micros(membership.create_time),
            membership.version.0,
        ))?;
    Ok(())
}

/// False when the row is not at `read`.
pub(super) fn update_membership(
    connection: &Connection,
    membership: &Membership,
    read: Version,
) -> rusqlite::Result<bool> {
    let rows = connection
        .prepare_cached(
            "UPDATE memberships SET state = ?4, period_start = ?5, period_end = ?6, version = ?7
             WHERE account = ?1 AND id = ?2 AND version = ?3",
        )?
        .execute((
            &membership.name.account,
            &membership.name.membership,
            read.0,
            membership.state.as_str(),
            micros(membership.period_start),
            micros(membership.period_end),
            membership.version.0,
        ))?;
    Ok(rows == 1)
}

pub(super) fn membership(
    connection: &Connection,
    name: &MembershipName,
) -> rusqlite::Result<Option<Membership>> {
    connection
        .prepare_cached("SELECT * FROM memberships WHERE account = ?1 AND id = ?2")?
        .query_row((&name.account, &name.membership), read_membership)
        .optional()
}

/// The membership of an account that is not expired.
pub(super) fn current_membership(
    connection: &Connection,
    account: &AccountName,
) -> rusqlite::Result<Option<Membership>> {
    connection
        .prepare_cached("SELECT * FROM memberships WHERE account = ?1 AND state <> 'expired'")?
        .query_row([&account.account], read_membership)
        .optional()
}

pub(super) fn due_memberships(
    connection: &Connection,
    now: Timestamp,
    max: usize,
) -> rusqlite::Result<Vec<Membership>> {
    collect(
        connection,
        "SELECT * FROM memberships WHERE state <> 'expired' AND period_end <= ?1 ORDER BY period_end LIMIT ?2",
        (micros(now), limit(max)),
        read_membership,
    )
}

pub(super) fn memberships(
    connection: &Connection,
    account: &AccountName,
    wanted: &Page,
) -> rusqlite::Result<Rows<Membership>> {
    page(
        connection,
        "SELECT * FROM memberships WHERE account = ?1 AND (create_time, id) < (?2, ?3)
         ORDER BY create_time DESC, id DESC LIMIT ?4",
        account,
        wanted,
        read_membership,
        |membership| Cursor {
            create_time: membership.create_time,
            id: membership.name.membership.clone(),
        },
    )
}

fn read_membership(row: &Row<'_>) -> rusqlite::Result<Membership> {
    let text = |column: &str| row.get::<_, String>(column);
    Ok(Membership {
        name: MembershipName::new(account(row)?.account, text("id")?).map_err(|_| malformed("id"))?,
        plan: PlanName::new(text("plan")?).map_err(|_| malformed("plan"))?,
        state: State::parse(&text("state")?).ok_or_else(|| malformed("state"))?,
        period_start: time(row, "period_start")?,
        period_end: time(row, "period_end")?,
        create_time: time(row, "create_time")?,
        version: version(row)?,
    })
}

pub(super) fn insert_payment(connection: &Connection, payment: &Payment) -> rusqlite::Result<()> {
    let (reference, reason) = match &payment.result {
        PaymentResult::Succeeded { reference } => (Some(reference), None),
        PaymentResult::Failed { reason } => (None, Some(reason)),
    };
    connection
        .prepare_cached(
            "INSERT INTO payments (account, id, membership, minor_units, currency, reference, failure_reason, method,
                                   create_time)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute((
            &payment.name.account,
            &payment.name.payment,
            payment.membership.as_ref().map(|name| &name.membership),
            payment.amount.minor_units(),
            payment.amount.currency().code(),
            reference,
            reason,
            &payment.method,
            micros(payment.create_time),
        ))?;
    Ok(())
}

pub(super) fn payments(
    connection: &Connection,
    account: &AccountName,
    wanted: &Page,
) -> rusqlite::Result<Rows<Payment>> {
    page(
        connection,
        "SELECT * FROM payments WHERE account = ?1 AND (create_time, id) < (?2, ?3)
         ORDER BY create_time DESC, id DESC LIMIT ?4",
        account,
        wanted,
        read_payment,
        |payment| Cursor {
            create_time: payment.create_time,
            id: payment.name.payment.clone(),
        },
    )
}

fn read_payment(row: &Row<'_>) -> rusqlite::Result<Payment> {
    let account = account(row)?.account;
    let membership: Option<String> = row.get("membership")?;
    Ok(Payment {
        name: PaymentName::new(&account, row.get::<_, String>("id")?).map_err(|_| malformed("id"))?,
        membership: membership
            .map(|id| MembershipName::new(&account, id).map_err(|_| malformed("membership")))
            .transpose()?,
        amount: money(row)?,
        result: match (row.get("reference")?, row.get("failure_reason")?) {
            (Some(reference), None) => PaymentResult::Succeeded { reference },
            (None, Some(reason)) => PaymentResult::Failed { reason },
            _ => return Err(malformed("reference, failure_reason")),
        },
        method: row.get("method")?,
        create_time: time(row, "create_time")?,
    })
}
