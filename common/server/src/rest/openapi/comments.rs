use std::collections::HashMap;

use marquee_proto::DESCRIPTORS;

/// The comments of the protos by file and path (`google.protobuf.SourceCodeInfo`).
pub(super) struct Comments(HashMap<(String, Vec<i32>), String>);

impl Comments {
    pub(super) fn read() -> Self {
        let mut comments = HashMap::new();
        for file in DESCRIPTORS.file_descriptor_protos() {
            let locations = file.source_code_info.iter().flat_map(|info| &info.location);
            for location in locations {
                let text = location.leading_comments().trim();
                if !text.is_empty() {
                    let lines: Vec<&str> = text.lines().map(str::trim).collect();
                    comments.insert((file.name().to_owned(), location.path.clone()), lines.join(" "));
                }
            }
        }
        Self(comments)
    }

    /// The comment of what stands at `path` in `file`; empty when it has none.
    pub(super) fn of(&self, file: &str, path: &[i32]) -> String {
        self.0
            .get(&(file.to_owned(), path.to_vec()))
            .cloned()
            .unwrap_or_default()
    }
}
