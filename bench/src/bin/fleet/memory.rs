//! Resident memory of the services.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::places::Places;
use super::report::{Table, mib};

/// Until what a start has used is given back.
const SETTLE: Duration = Duration::from_secs(10);
const EVERY: Duration = Duration::from_millis(50);

/// Idle, and the most of each measurement, by service.
pub(crate) struct Memory {
    pids: BTreeMap<String, u32>,
    columns: Vec<(String, BTreeMap<String, u64>)>,
}

/// A look every 50 ms, until it is ended.
pub(crate) struct Sampling {
    over: CancellationToken,
    task: JoinHandle<Result<(String, BTreeMap<String, u64>)>>,
}

impl Memory {
    pub(crate) async fn idle(places: &Places) -> Result<Self> {
        tokio::time::sleep(SETTLE).await;
        let pids = places.pids.clone();
        let idle = look(&pids)?;
        Ok(Self {
            pids,
            columns: vec![("idle".to_owned(), idle)],
        })
    }

    pub(crate) fn sample(&self, what: &str) -> Sampling {
        let (pids, what, over) = (self.pids.clone(), what.to_owned(), CancellationToken::new());
        let token = over.clone();
        let task = tokio::spawn(async move {
            let mut most = look(&pids)?;
            while token
                .run_until_cancelled(tokio::time::sleep(EVERY))
                .await
                .is_some()
            {
                for (service, bytes) in look(&pids)? {
                    let most = most.entry(service).or_default();
                    *most = bytes.max(*most);
                }
            }
            Ok((what, most))
        });
        Sampling { over, task }
    }

    pub(crate) fn sampled(&mut self, column: (String, BTreeMap<String, u64>)) {
        self.columns.push(column);
    }

    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new(
            "Resident memory of each service, MiB: idle, and the most of each measurement",
            ["service"],
        );
        table.rows[0].extend(self.columns.iter().map(|(name, _)| name.clone()));
        for service in self.pids.keys() {
            let figures = self.columns.iter().map(|(_, figures)| {
                let bytes = figures.get(service).copied();
                bytes.map_or_else(String::new, mib)
            });
            table
                .rows
                .push([service.clone()].into_iter().chain(figures).collect());
        }
        table
    }
}

impl Sampling {
    pub(crate) async fn end(self) -> Result<(String, BTreeMap<String, u64>)> {
        self.over.cancel();
        self.task.await?
    }
}

fn look(pids: &BTreeMap<String, u32>) -> Result<BTreeMap<String, u64>> {
    pids.iter()
        .map(|(service, pid)| {
            let bytes = resident(*pid).with_context(|| format!("{service} is gone"))?;
            Ok((service.clone(), bytes))
        })
        .collect()
}

/// VmRSS, bytes.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .context("no VmRSS")?;
    Ok(kib.parse::<u64>()? << 10)
}
