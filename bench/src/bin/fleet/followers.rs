//! Many followers of a channel.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jiff::Timestamp;
use marquee_bus::EventBus as _;
use marquee_proto::name::{AccountName, ChannelName, FollowName, new_id};
use marquee_proto::subscriptions::v1::{Follow, FollowChanged, FollowCreated, follow_changed};
use marquee_proto::topic::FOLLOW;
use mongodb::bson::{Document, doc};

use super::places::Places;

/// Messages of one call.
const BATCH: usize = 2_000;
const PATIENCE: Duration = Duration::from_secs(300);

/// Makes accounts that follow the channel: what the subscriptions service tells on the bus is written there directly, since
/// registering them takes a password hash each. Returns them once the notifications service knows them all, with how long it
/// took that to learn of them.
pub(crate) async fn make(
    places: &Places,
    channel: &str,
    count: usize,
) -> Result<(Vec<AccountName>, Duration)> {
    let channel: ChannelName = channel.parse()?;
    let accounts: Vec<AccountName> = (0..count)
        .map(|_| AccountName::new(new_id()))
        .collect::<Result<_, _>>()?;
    let bus = places.bus()?;
    bus.declare(&[FOLLOW]).await?;
    let began = Instant::now();
    for accounts in accounts.chunks(BATCH) {
        let mut messages = Vec::with_capacity(accounts.len());
        for account in accounts {
            let name = FollowName::new(&*account.account, &*channel.channel)?.to_string();
            let follow = Follow {
                name: name.clone(),
                channel: channel.to_string(),
                create_time: Some(marquee_proto::time::to_proto(Timestamp::now())),
            };
            let created = FollowCreated { follow: Some(follow) };
            let change = FollowChanged {
                change: Some(follow_changed::Change::Created(created)),
            };
            messages.push(marquee_bus::event(name, &change));
        }
        bus.publish(messages).await?;
    }
    let known = places
        .database("notifications")
        .await?
        .collection::<Document>("follows");
    let of_channel = doc! { "body.channel": channel.to_string() };
    let mut last = 0;
    loop {
        // The estimate is cheap, and nobody else follows meanwhile.
        let estimate = known.estimated_document_count().await?;
        if estimate >= count as u64 && known.count_documents(of_channel.clone()).await? >= count as u64 {
            return Ok((accounts, began.elapsed()));
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "{estimate} follows are known after {PATIENCE:?}"
        );
        if estimate / 10_000 > last {
            last = estimate / 10_000;
            eprintln!("  {estimate} follows are known after {:?}", began.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
