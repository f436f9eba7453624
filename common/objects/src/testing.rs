//! What every backend does, as cases.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use bytes::Bytes;
use futures::TryStreamExt as _;

use crate::{Error, Objects};

const TYPE: &str = "application/octet-stream";

/// Makes a test of each case. `$open` is an async function that gives [`Objects`] of an empty place, and something that
/// keeps it until the test is over.
#[macro_export]
macro_rules! suite {
    ($open:path $(, ignore = $reason:literal)?) => {
        $crate::suite!(@cases $open, [$($reason)?],
            what_was_put_is_what_is_read
            an_object_is_replaced_whole
            a_range_is_a_part_of_the_object
            a_range_beyond_the_end_is_refused_with_the_size
            what_is_not_there_is_none
            deleting_is_idempotent
            a_listing_has_what_is_under_its_folder_only
            a_folder_of_many_objects_is_deleted_whole
            a_large_object_comes_in_pieces
            bad_keys_are_refused
        );
    };
    (@cases $open:path, $reason:tt, $($case:ident)*) => {
        $($crate::suite!(@case $open, $reason, $case);)*
    };
    (@case $open:path, [], $case:ident) => {
        #[tokio::test]
        async fn $case() {
            let (objects, _kept) = $open().await;
            $crate::testing::$case(&objects).await;
        }
    };
    (@case $open:path, [$reason:literal], $case:ident) => {
        #[tokio::test]
        #[ignore = $reason]
        async fn $case() {
            let (objects, _kept) = $open().await;
            $crate::testing::$case(&objects).await;
        }
    };
}

async fn put(objects: &Objects, key: &str, content: &'static [u8]) {
    objects
        .put(key, vec![Bytes::from_static(content)], TYPE)
        .await
        .unwrap();
}

async fn read(objects: &Objects, key: &str) -> Option<Bytes> {
    match objects.get(key, None).await.unwrap() {
        Some(object) => Some(object.bytes().await.unwrap()),
        None => None,
    }
}

async fn keys(objects: &Objects, folder: &str) -> Vec<String> {
    let mut keys: Vec<String> = objects
        .list(folder)
        .map_ok(|entry| entry.key)
        .try_collect()
        .await
        .unwrap();
    keys.sort();
    keys
}

#[allow(missing_docs, reason = "cases: their names say it all")]
mod cases {
    use super::*;

    pub async fn what_was_put_is_what_is_read(objects: &Objects) {
        let pieces = vec![
            Bytes::from_static(b"one "),
            Bytes::new(),
            Bytes::from_static(b"two"),
        ];
        objects
            .put("c/s/segment-1.m4s", pieces, "video/mp4")
            .await
            .unwrap();
        assert_eq!(read(objects, "c/s/segment-1.m4s").await.unwrap(), "one two");
        assert_eq!(objects.size("c/s/segment-1.m4s").await.unwrap(), Some(7));
        objects.ready().await.unwrap();
    }

    pub async fn an_object_is_replaced_whole(objects: &Objects) {
        put(objects, "a", b"a long content").await;
        put(objects, "a", b"short").await;
        assert_eq!(read(objects, "a").await.unwrap(), "short");
    }

    pub async fn a_range_is_a_part_of_the_object(objects: &Objects) {
        put(objects, "a", b"0123456789").await;
        for (range, content) in [
            (0..1, "0"),
            (3..7, "3456"),
            (8..100, "89"),
            (0..10, "0123456789"),
            (3..u64::MAX, "3456789"),
        ] {
            let object = objects.get("a", Some(range.clone())).await.unwrap().unwrap();
            assert_eq!(
                (object.size, object.range.clone()),
                (10, range.start..range.end.min(10))
            );
            assert_eq!(object.bytes().await.unwrap(), content);
        }
    }

    pub async fn a_range_beyond_the_end_is_refused_with_the_size(objects: &Objects) {
        put(objects, "a", b"0123456789").await;
        for range in [10..11, 50..60, 5..5] {
            let refused = objects.get("a", Some(range)).await;
            assert!(matches!(refused, Err(Error::Range { size: 10 })), "{refused:?}");
        }
    }

    pub async fn what_is_not_there_is_none(objects: &Objects) {
        assert!(objects.get("none", None).await.unwrap().is_none());
        assert!(objects.get("none", Some(0..5)).await.unwrap().is_none());
        assert!(objects.size("none").await.unwrap().is_none());
        assert_eq!(keys(objects, "none").await, [""; 0]);
    }

    pub async fn deleting_is_idempotent(objects: &Objects) {
        put(objects, "c/a", b"x").await;
        objects.delete("c/a").await.unwrap();
        objects.delete("c/a").await.unwrap();
        assert!(read(objects, "c/a").await.is_none());
        put(objects, "c/a", b"y").await;
        assert_eq!(read(objects, "c/a").await.unwrap(), "y");
    }

    pub async fn a_listing_has_what_is_under_its_folder_only(objects: &Objects) {
        for key in ["c/s/1", "c/s/deep/2", "c/s2/3", "d/4"] {
            put(objects, key, b"x").await;
        }
        assert_eq!(keys(objects, "c/s").await, ["c/s/1", "c/s/deep/2"]);
        assert_eq!(keys(objects, "c").await, ["c/s/1", "c/s/deep/2", "c/s2/3"]);
    }

    pub async fn a_folder_of_many_objects_is_deleted_whole(objects: &Objects) {
        for number in 0..30 {
            put(objects, &format!("c/s/{number}"), b"x").await;
        }
        put(objects, "c/other", b"x").await;
        assert_eq!(objects.delete_all("c/s").await.unwrap(), 30);
        assert_eq!(objects.delete_all("c/s").await.unwrap(), 0);
        assert_eq!(keys(objects, "c").await, ["c/other"]);
    }

    pub async fn a_large_object_comes_in_pieces(objects: &Objects) {
        let content: Vec<u8> = (0..9_000_000_u32).map(|n| (n % 251) as u8).collect();
        let halves = content.chunks(5_000_000).map(Bytes::copy_from_slice).collect();
        objects.put("large", halves, TYPE).await.unwrap();
        let object = objects.get("large", None).await.unwrap().unwrap();
        let pieces: Vec<Bytes> = object.body.try_collect().await.unwrap();
        assert!(pieces.len() > 10, "{} pieces", pieces.len());
        assert!(pieces.concat() == content);
    }

    pub async fn bad_keys_are_refused(objects: &Objects) {
        let put = objects.put("../out", vec![Bytes::from_static(b"x")], TYPE).await;
        assert!(matches!(put, Err(Error::Key { .. })), "{put:?}");
        assert!(matches!(objects.get("a//b", None).await, Err(Error::Key { .. })));
    }
}

pub use cases::*;
