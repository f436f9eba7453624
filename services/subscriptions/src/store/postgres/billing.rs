//! Plans, memberships and payments.

use jiff::Timestamp;
use marquee_proto::name::{AccountName, MembershipName, PaymentName, PlanName};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row as _, query};

use super::row::{account, bounds, limit, malformed, micros, money, optional, page, text, time, version};
use crate::domain::membership::{Membership, State};
use crate::domain::page::{Cursor, Page, Rows};
use crate::domain::payment::{Payment, PaymentResult};
use crate::domain::plan::{Period, Plan};
use crate::domain::version::Version;

/// Of two processes that find none at the same time one is done again and finds them; see [`super::keys`].
pub(super) async fn seed_plans(connection: &mut PgConnection, plans: &[Plan]) -> Result<(), sqlx::Error> {
    let known = query("SELECT id FROM plans LIMIT 1")
        .fetch_optional(&mut *connection)
        .await?;
    if known.is_some() {
        return Ok(());
    }
    for plan in plans {
        let features = serde_json::to_string(&plan.features).map_err(|_| malformed("features"))?;
        query(
            "INSERT INTO plans (id, display_name, minor_units, currency, period, features, tier)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&plan.name.plan)
        .bind(&plan.display_name)
        .bind(plan.price.minor_units())
        .bind(plan.price.currency().code())
        .bind(plan.period.as_str())
        .bind(features)
        .bind(i64::from(plan.tier))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

pub(super) async fn plans(connection: &mut PgConnection) -> Result<Vec<Plan>, sqlx::Error> {
    let rows = query(
        "SELECT id, display_name, minor_units, currency, period, features, tier FROM plans
         ORDER BY minor_units, tier, id",
    )
    .fetch_all(connection)
    .await?;
    rows.iter().map(read_plan).collect()
}

pub(super) async fn plan(
    connection: &mut PgConnection,
    name: &PlanName,
) -> Result<Option<Plan>, sqlx::Error> {
    let row = query(
        "SELECT id, display_name, minor_units, currency, period, features, tier FROM plans WHERE id = $1",
    )
    .bind(&name.plan)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(read_plan).transpose()
}

fn read_plan(row: &PgRow) -> Result<Plan, sqlx::Error> {
    Ok(Plan {
        name: PlanName::new(text(row, "id")?).map_err(|_| malformed("id"))?,
        display_name: text(row, "display_name")?,
        price: money(row)?,
        period: Period::parse(&text(row, "period")?).ok_or_else(|| malformed("period"))?,
        features: serde_json::from_str(&text(row, "features")?).map_err(|_| malformed("features"))?,
        tier: row
            .try_get::<i64, _>("tier")?
            .try_into()
            .map_err(|_| malformed("tier"))?,
    })
}

pub(super) async fn insert_membership(
    connection: &mut PgConnection,
    membership: &Membership,
) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO memberships (account, id, plan, state, period_start, period_end, create_time, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&membership.name.account)
    .bind(&membership.name.membership)
    .bind(&membership.plan.plan)
    .bind(membership.state.as_str())
    .bind(micros(membership.period_start))
    .bind(micros(membership.period_end))
    .bind(micros(membership.create_time))
    .bind(membership.version.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// False when the row is not at `read`.
pub(super) async fn update_membership(
    connection: &mut PgConnection,
    membership: &Membership,
    read: Version,
) -> Result<bool, sqlx::Error> {
    let done = query(
        "UPDATE memberships SET state = $4, period_start = $5, period_end = $6, version = $7
         WHERE account = $1 AND id = $2 AND version = $3",
    )
    .bind(&membership.name.account)
    .bind(&membership.name.membership)
    .bind(read.0)
    .bind(membership.state.as_str())
    .bind(micros(membership.period_start))
    .bind(micros(membership.period_end))
    .bind(membership.version.0)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn membership(
    connection: &mut PgConnection,
    name: &MembershipName,
) -> Result<Option<Membership>, sqlx::Error> {
    let row = query(
        "SELECT account, id, plan, state, period_start, period_end, create_time, version
         FROM memberships WHERE account = $1 AND id = $2",
    )
    .bind(&name.account)
    .bind(&name.membership)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(read_membership).transpose()
}

/// The membership of an account that is not expired.
pub(super) async fn current_membership(
    connection: &mut PgConnection,
    account: &AccountName,
) -> Result<Option<Membership>, sqlx::Error> {
    let row = query(
        "SELECT account, id, plan, state, period_start, period_end, create_time, version
         FROM memberships WHERE account = $1 AND state <> 'expired'",
    )
    .bind(&account.account)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(read_membership).transpose()
}

pub(super) async fn due_memberships(
    connection: &mut PgConnection,
    now: Timestamp,
    max: usize,
) -> Result<Vec<Membership>, sqlx::Error> {
    let rows = query(
        "SELECT account, id, plan, state, period_start, period_end, create_time, version
         FROM memberships WHERE state <> 'expired' AND period_end <= $1 ORDER BY period_end LIMIT $2",
    )
    .bind(micros(now))
    .bind(limit(max))
    .fetch_all(connection)
    .await?;
    rows.iter().map(read_membership).collect()
}

pub(super) async fn memberships(
    connection: &mut PgConnection,
    account: &AccountName,
    wanted: &Page,
) -> Result<Rows<Membership>, sqlx::Error> {
    let (before, id, max) = bounds(wanted);
    let rows = query(
        "SELECT account, id, plan, state, period_start, period_end, create_time, version
         FROM memberships WHERE account = $1 AND (create_time, id) < ($2, $3)
         ORDER BY create_time DESC, id DESC LIMIT $4",
    )
    .bind(&account.account)
    .bind(before)
    .bind(id)
    .bind(max)
    .fetch_all(connection)
    .await?;
    page(&rows, wanted, read_membership, |membership| Cursor {
        create_time: membership.create_time,
        id: membership.name.membership.clone(),
    })
}

fn read_membership(row: &PgRow) -> Result<Membership, sqlx::Error> {
    Ok(Membership {
        name: MembershipName::new(account(row)?.account, text(row, "id")?).map_err(|_| malformed("id"))?,
        plan: PlanName::new(text(row, "plan")?).map_err(|_| malformed("plan"))?,
        state: State::parse(&text(row, "state")?).ok_or_else(|| malformed("state"))?,
        period_start: time(row, "period_start")?,
        period_end: time(row, "period_end")?,
        create_time: time(row, "create_time")?,
        version: version(row)?,
    })
}

pub(super) async fn insert_payment(
    connection: &mut PgConnection,
    payment: &Payment,
) -> Result<(), sqlx::Error> {
    let (reference, reason) = match &payment.result {
        PaymentResult::Succeeded { reference } => (Some(reference), None),
        PaymentResult::Failed { reason } => (None, Some(reason)),
    };
    query(
        "INSERT INTO payments (account, id, membership, minor_units, currency, reference, failure_reason, method,
                               create_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&payment.name.account)
    .bind(&payment.name.payment)
    .bind(payment.membership.as_ref().map(|name| &name.membership))
    .bind(payment.amount.minor_units())
    .bind(payment.amount.currency().code())
    .bind(reference)
    .bind(reason)
    .bind(&payment.method)
    .bind(micros(payment.create_time))
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn payments(
    connection: &mut PgConnection,
    account: &AccountName,
    wanted: &Page,
) -> Result<Rows<Payment>, sqlx::Error> {
    let (before, id, max) = bounds(wanted);
    let rows = query(
        "SELECT account, id, membership, minor_units, currency, reference, failure_reason, method, create_time
         FROM payments WHERE account = $1 AND (create_time, id) < ($2, $3)
         ORDER BY create_time DESC, id DESC LIMIT $4",
    )
    .bind(&account.account)
    .bind(before)
    .bind(id)
    .bind(max)
    .fetch_all(connection)
    .await?;
    page(&rows, wanted, read_payment, |payment| Cursor {
        create_time: payment.create_time,
        id: payment.name.payment.clone(),
    })
}

fn read_payment(row: &PgRow) -> Result<Payment, sqlx::Error> {
    let account = account(row)?.account;
    Ok(Payment {
        name: PaymentName::new(&account, text(row, "id")?).map_err(|_| malformed("id"))?,
        membership: optional(row, "membership")?
            .map(|id| MembershipName::new(&account, id).map_err(|_| malformed("membership")))
            .transpose()?,
        amount: money(row)?,
        result: match (optional(row, "reference")?, optional(row, "failure_reason")?) {
            (Some(reference), None) => PaymentResult::Succeeded { reference },
            (None, Some(reason)) => PaymentResult::Failed { reason },
            _ => return Err(malformed("reference, failure_reason")),
        },
        method: text(row, "method")?,
        create_time: time(row, "create_time")?,
    })
}
