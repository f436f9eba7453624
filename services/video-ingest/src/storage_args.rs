//! Options of what is recorded, where it is kept and how much of it.

use std::path::PathBuf;
use std::time::Duration;

use clap::ArgAction;
use marquee_config::Secret;

use crate::config::Storage;
use crate::quota::{Limits, Quota};

/// What is recorded, where it is kept and how much of it
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Recording and storage")]
pub struct StorageArgs {
    /// Whether streams are recorded whose keys do not say otherwise
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    record: bool,
    /// Seconds that viewers can go back in a live stream, kept on the disk; 0 for no more than the live window
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    dvr_window: u64,
    /// Bytes that the media folder may hold, for example 200GB; at that, the oldest recordings are deleted [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    media_quota: Option<u64>,
    /// Bytes that each channel may have in the media folder [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    media_quota_per_channel: Option<u64>,
    /// Bytes that are left free on the disk of the media folder; with less, recording pauses and streams go on
    #[arg(long, value_name = "BYTES", default_value = "256MiB", value_parser = bytes)]
    disk_reserve: u64,
    /// Seconds since its last play within which a recording is not deleted to make room
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(0..=604_800))]
    keep_played: u64,
    /// Folder that recordings are brought to, for example on another disk; without it and a bucket they stay in the media folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "s3_bucket")]
    recordings_folder: Option<PathBuf>,
    /// Bytes that folder or bucket may hold; at that, the oldest recordings are deleted [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    recordings_quota: Option<u64>,
    /// Bytes that each channel may have there [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    recordings_quota_per_channel: Option<u64>,
    /// Bytes that may wait on the disk to be brought there, before recording pauses [default: what the disk may hold]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    upload_backlog: Option<u64>,
    /// Bucket that recordings are brought to; it must exist
    #[arg(long, value_name = "NAME")]
    s3_bucket: Option<String>,
    /// Put before the name of every object
    #[arg(long, value_name = "PREFIX", default_value = "", requires = "s3_bucket")]
    s3_prefix: String,
    /// Where the bucket's server is, for example https://minio.example.org; without it Amazon's
    #[arg(long, value_name = "URL", requires = "s3_bucket", value_parser = http_url)]
    s3_endpoint: Option<String>,
    /// Region that requests are signed for
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    s3_region: String,
    /// Access key id, or file:PATH; without it as Amazon's tools find it: web identity, container, instance
    #[arg(long, value_name = "ID", requires = "s3_secret_access_key")]
    s3_access_key_id: Option<Secret>,
    /// Secret access key, or file:PATH
    #[arg(long, value_name = "KEY", requires = "s3_access_key_id")]
    s3_secret_access_key: Option<Secret>,
    /// Whether the bucket is part of the server's name, not of the path
    #[arg(long, requires = "s3_bucket")]
    s3_virtual_hosted: bool,
}

impl StorageArgs {
    /// What they say.
    ///
    /// # Errors
    /// What this build cannot do.
    pub fn storage(&self) -> Result<Storage, String> {
        Ok(Storage {
            record: self.record,
            dvr_window: Duration::from_secs(self.dvr_window),
            quota: Quota {
                disk: Limits {
                    total: self.media_quota,
                    per_channel: self.media_quota_per_channel,
                },
                disk_reserve: self.disk_reserve,
                objects: Limits {
                    total: self.recordings_quota,
                    per_channel: self.recordings_quota_per_channel,
                },
                backlog: self.upload_backlog,
                played_within: Duration::from_secs(self.keep_played),
            },
            objects: self.objects()?,
            ..Storage::default()
        })
    }

    fn objects(&self) -> Result<Option<marquee_objects::Location>, String> {
        match &self.s3_bucket {
            Some(bucket) => self.bucket(bucket).map(Some),
            None => Ok(self
                .recordings_folder
                .clone()
                .map(marquee_objects::Location::Folder)),
        }
    }

    #[cfg(feature = "s3")]
    fn bucket(&self, bucket: &str) -> Result<marquee_objects::Location, String> {
        let credentials = self
            .s3_access_key_id
            .as_ref()
            .zip(self.s3_secret_access_key.as_ref());
        Ok(marquee_objects::Location::S3(marquee_objects::s3::Settings {
            prefix: self.s3_prefix.clone(),
            endpoint: self.s3_endpoint.clone(),
            region: self.s3_region.clone(),
            credentials: credentials.map(|(id, key)| (id.expose().to_owned(), key.expose().to_owned())),
            virtual_hosted: self.s3_virtual_hosted,
            ..marquee_objects::s3::Settings::new(bucket)
        }))
    }

    #[cfg(not(feature = "s3"))]
    fn bucket(&self, _: &str) -> Result<marquee_objects::Location, String> {
        Err("s3-bucket: this program was built without the feature `s3`".to_owned())
    }
}

fn http_url(text: &str) -> Result<String, String> {
    let fits = text.starts_with("http://") || text.starts_with("https://");
    fits.then(|| text.trim_end_matches('/').to_owned())
        .ok_or_else(|| format!("{text:?} must begin with http:// or https://"))
}

/// A number of bytes, with a unit of thousands or of 1,024s.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(format!("{unit:?} is no unit; use MB, GB, TB, MiB, GiB or TiB")),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| format!("{text:?} is no number of bytes, such as 200GB"))?;
    number
        .checked_mul(factor)
        .ok_or_else(|| format!("{text:?} is too much"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        storage: StorageArgs,
    }

    #[test]
    fn bytes_have_units() {
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("200GB"), Ok(200_000_000_000));
        assert_eq!(bytes("256 MiB"), Ok(256 << 20));
        for wrong in ["", "GB", "1.5GB", "-1", "5 parsecs", "99999999999TB"] {
            assert!(bytes(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn without_options_everything_is_recorded_and_kept() {
        let storage = Program::parse_from(["program"]).storage.storage().unwrap();
        let default = Storage::default();
        assert!(storage.record && storage.objects.is_none());
        assert_eq!(storage.quota.disk, Limits::default());
        assert_eq!(storage.quota.disk_reserve, default.quota.disk_reserve);
        assert_eq!(storage.quota.played_within, default.quota.played_within);
        assert_eq!(storage.dvr_window, default.dvr_window);
    }

    #[test]
    fn a_folder_and_limits_are_taken_over() {
        let options = "program --record false --recordings-folder /srv/vod --media-quota 10GB --recordings-quota-per-channel 1GB --upload-backlog 2GB --dvr-window 7200";
        let storage = Program::parse_from(options.split(' ')).storage.storage().unwrap();
        assert!(!storage.record);
        assert!(
            matches!(storage.objects, Some(marquee_objects::Location::Folder(path)) if path.ends_with("vod"))
        );
        assert_eq!(storage.quota.disk.total, Some(10_000_000_000));
        assert_eq!(storage.quota.objects.per_channel, Some(1_000_000_000));
        assert_eq!(storage.quota.backlog, Some(2_000_000_000));
        assert_eq!(storage.dvr_window.as_secs(), 7_200);
    }

    #[test]
    fn half_of_the_credentials_are_none() {
        let options = "program --s3-bucket b --s3-access-key-id x";
        assert!(Program::try_parse_from(options.split(' ')).is_err());
    }
}
