//! A process that is killed while it flushes, over and over.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use futures::future::join_all;

use super::concurrent::{check, visit};
use super::*;

const PLACE: &str = "MARQUEE_TEST_STORE_KILLED";

const PARTITIONS: u32 = 3;

const ROUNDS: usize = 8;

/// Flushes for ever, and says so.
pub(crate) async fn victim<F: Fixture>() {
    let Ok(place) = std::env::var(PLACE) else {
        return;
    };
    let store = &F::open(&place).await;
    let positions = &store.positions().await.unwrap();
    let owners = (0..PARTITIONS).map(|number| async move {
        let first = positions
            .get(&partition(number))
            .map_or(0, |position| position.next);
        for offset in first.. {
            match store
                .flush(partition(number), offset, offset + 1, visit(number, offset))
                .await
            {
                Ok(()) => {}
                // What the process before had sent when it was killed came through only now.
                Err(Error::Conflict { found, .. }) if found == offset + 1 => {}
                Err(error) => panic!("{error}"),
            }
            println!("flushed {number} {offset}");
        }
    });
    join_all(owners).await;
}

pub(crate) async fn kill_again_and_again<F: Fixture>(module: &str) {
    let fixture = F::new().await;
    let module = module.split_once("::").unwrap().1;
    let mut flushed = [0_u64; PARTITIONS as usize];
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                &format!("{module}::victim"),
                "--nocapture",
                "--include-ignored",
            ])
            .env(PLACE, fixture.place())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        // Killed some time after this many were acknowledged: in the middle of three others.
        let lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let told = lines.filter_map(|line| {
            let (number, offset) = line.split_once("flushed ")?.1.split_once(' ')?;
            Some((number.parse::<usize>().ok()?, offset.parse::<u64>().ok()?))
        });
        for (number, offset) in told.take(10 + round * 7) {
            flushed[number] = offset + 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = F::open(&fixture.place()).await;
        let positions = store.positions().await.unwrap();
        for (number, flushed) in (0..PARTITIONS).zip(flushed) {
            let next = positions
                .get(&partition(number))
                .map_or(0, |position| position.next);
            assert!(
                next >= flushed,
                "partition {number}: {next} of {flushed} acknowledged"
            );
            // Who comes next is not kept waiting by what was left open. What was on its way may still have come through.
            let flush = visit(number, next);
            match store.flush(partition(number), next, next + 1, flush).await {
                Err(Error::Conflict { found, .. }) if found == next + 1 => {}
                result => result.unwrap(),
            }
        }
        check(&store).await;
    }
}
