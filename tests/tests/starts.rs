//! What `marquee up` says when it cannot start, and two of them side by side.

use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use marquee_proto::video_ingest::v1::{ListStreamKeysRequest, RevokeStreamKeyRequest};
use marquee_testkit::{Marquee, http};
use marquee_tests::Api;
use tokio::process::Command;

/// Runs the binary to its end.
async fn marquee(arguments: &[&str]) -> Result<Output> {
    let test = std::env::current_exe()?;
    let binary = test
        .ancestors()
        .nth(2)
        .map(|target| target.join("marquee"))
        .unwrap_or_default();
    let run = Command::new(binary)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    Ok(tokio::time::timeout(Duration::from_secs(30), run).await??)
}

/// One clear line that says `words`, and exit code 1.
fn refused(output: &Output, words: &[&str]) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    ensure!(
        output.status.code() == Some(1),
        "exit {:?}: {said}",
        output.status.code()
    );
    ensure!(errors.len() == 1, "one line is expected: {said}");
    for word in words {
        ensure!(errors[0].contains(word), "`{word}` is not in: {}", errors[0]);
    }
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_named() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let data = tempfile::tempdir()?;
    let data = data.path().to_string_lossy();
    let http = marquee(&[
        "up",
        "--data",
        &data,
        "--listen",
        &address,
        "--rtmp-listen",
        "127.0.0.1:0",
    ])
    .await?;
    refused(&http, &[&address, "in use"])?;
    let rtmp = marquee(&[
        "up",
        "--data",
        &data,
        "--listen",
        "127.0.0.1:0",
        "--rtmp-listen",
        &address,
    ])
    .await?;
    refused(&rtmp, &[&address, "in use"])
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_written_is_named() -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    let data = file.path().join("data").to_string_lossy().into_owned();
    let output = marquee(&[
        "up",
        "--data",
        &data,
        "--listen",
        "127.0.0.1:0",
        "--rtmp-listen",
        "127.0.0.1:0",
    ])
    .await?;
    refused(&output, &[&data])
}

/// The disk is a tmpfs that only this process sees.
#[tokio::test]
#[ignore = "needs user namespaces: unshare --user --mount"]
async fn a_full_disk_is_named() -> Result<()> {
    let test = std::env::current_exe()?;
    let binary = test
        .ancestors()
        .nth(2)
        .map(|target| target.join("marquee"))
        .unwrap_or_default();
    let folder = tempfile::tempdir()?;
    let script = r#"mount -t tmpfs -o size=1m tmpfs "$0" && head -c 2000000 /dev/zero > "$0/ballast" 2>/dev/null
        exec "$1" up --data "$0/data" --listen 127.0.0.1:0 --rtmp-listen 127.0.0.1:0"#;
    let run = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .args([folder.path(), binary.as_path()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(30), run).await??;
    refused(&output, &[&folder.path().to_string_lossy(), "full"])
}

#[tokio::test]
async fn a_data_folder_of_another_process_is_left_alone() -> Result<()> {
    let first = Marquee::start(&[]).await?;
    let data = first.data().to_string_lossy().into_owned();
    let output = marquee(&[
        "up",
        "--data",
        &data,
        "--listen",
        "127.0.0.1:0",
        "--rtmp-listen",
        "127.0.0.1:0",
    ])
    .await?;
    refused(&output, &[&data])
}

#[tokio::test]
async fn an_unknown_key_of_the_config_file_names_the_nearest_one() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("marquee.toml");
    std::fs::write(&config, "reconect-grace = 5\n")?;
    let output = marquee(&["up", "--config", &config.to_string_lossy()]).await?;
    refused(&output, &["reconect-grace", "reconnect-grace"])
}

#[tokio::test]
async fn two_instances_run_side_by_side() -> Result<()> {
    let (one, two) = (
        Marquee::start(&["--demo"]).await?,
        Marquee::start(&["--demo"]).await?,
    );
    ensure!(one.ready.rest != two.ready.rest && one.ready.rtmp != two.ready.rtmp);
    for marquee in [&one, &two] {
        let channels = http::get(&format!("{}/v1/channels", marquee.ready.rest))
            .await?
            .json()?;
        ensure!(
            channels["channels"].as_array().map(Vec::len) == Some(1),
            "{channels}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_demo_key_is_the_same_after_a_restart_unless_it_was_revoked() -> Result<()> {
    let mut marquee = Marquee::start(&["--demo"]).await?;
    let first = marquee.ready.stream_key.clone();
    marquee.kill().await?;
    marquee.restart().await?;
    ensure!(first.is_some() && marquee.ready.stream_key == first);

    let creator = marquee.ready.creator.clone().context("no creator")?;
    let list = ListStreamKeysRequest {
        parent: marquee.ready.channel.clone().context("no channel")?,
        ..ListStreamKeysRequest::default()
    };
    let mut keys = Api::of(&marquee).await?.stream_keys();
    let known = keys.list_stream_keys(creator.request(list)).await?.into_inner();
    for key in known.stream_keys {
        let revoke = RevokeStreamKeyRequest { name: key.name };
        keys.revoke_stream_key(creator.request(revoke)).await?;
    }
    marquee.kill().await?;
    marquee.restart().await?;
    ensure!(
        marquee.ready.stream_key.is_some() && marquee.ready.stream_key != first,
        "the revoked key is printed again"
    );
    Ok(())
}

#[tokio::test]
async fn sigterm_stops_it_in_order() -> Result<()> {
    let mut marquee = Marquee::start(&[]).await?;
    ensure!(marquee.terminate().await? == Some(0), "{}", marquee.log());
    Ok(())
}
