use super::*;
use crate::quota::Quota;

fn open(path: &Path) -> Result<MediaRoot> {
    MediaRoot::open(path, Room::new(&Quota::default()), Duration::from_secs(40))
}

#[test]
fn only_media_files_can_be_named() {
    assert!(is_media_name("init-0.mp4") && is_media_name("segment-12.m4s"));
    for file in [
        "journal",
        "../journal",
        "segment-../x.m4s",
        "segment-.m4s",
        "init-a.mp4",
        "segment-1.mp4",
    ] {
        assert!(!is_media_name(file), "{file}");
    }
}

#[tokio::test]
async fn a_torn_line_is_cut_off_before_the_journal_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let root = open(folder.path()).unwrap();
    let stream = root.stream(&LiveStreamName::new("c", "s").unwrap());
    let (writer, _) = stream.writer().await.unwrap();
    let (writer, result) = writer.end().await;
    result.unwrap();
    drop(writer);
    let path = folder.path().join("c/s/journal");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], b"segment torn"].concat()).unwrap();
    let (_, journal) = stream.writer().await.unwrap();
    assert!(journal.ended);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[tokio::test]
async fn a_stream_that_was_never_there_has_no_journal() {
    let folder = tempfile::tempdir().unwrap();
    let root = open(folder.path()).unwrap();
    let stream = root.stream(&LiveStreamName::new("c", "s").unwrap());
    assert!(stream.journal().await.unwrap().is_none());
    stream.delete().await.unwrap();
}
