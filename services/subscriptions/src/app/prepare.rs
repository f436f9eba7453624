//! Making the store usable: its schema, the plans, the keys.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{App, keys};
use crate::error::Error;
use crate::store;

const MIN_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(2);

impl App {
    /// Prepares the store, as often as it is called, and loads the keys. Nothing works before.
    pub(crate) async fn prepare(&self) -> Result<(), Error> {
        if self.keys.get().is_some() {
            return Ok(());
        }
        self.store.prepare().await?;
        self.store.seed_plans(crate::domain::plan::defaults()).await?;
        let keys = keys::Keys::load(&*self.store, &self.clock).await?;
        // Whoever was faster has loaded the same ones.
        drop(self.keys.set(keys));
        Ok(())
    }
}

/// Prepares until it works; false when `shutdown` came first. Whatever is wrong with the store (it is down, its address
/// or password is wrong) is for somebody else to mend while this process lives, says so, and is not ready.
pub(crate) async fn run(app: &Arc<App>, shutdown: &CancellationToken) -> bool {
    let preparing = async {
        let mut pause = MIN_PAUSE;
        let mut said = String::new();
        while let Err(error) = app.prepare().await {
            let text = store::chain(&error);
            if text != said {
                tracing::warn!(error = text, "the store is not ready, waiting for it");
                said = text;
            }
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
        if !said.is_empty() {
            tracing::info!("the store is ready");
        }
    };
    shutdown.run_until_cancelled(preparing).await.is_some()
}
