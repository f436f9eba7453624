//! As much of BSON and OP_MSG as it takes to make a replica set (bsonspec.org; MongoDB Wire Protocol, OP_MSG).

/// `{name: 1, $db: "admin"}`.
pub(super) fn command(name: &str) -> Vec<u8> {
    document(&[int(name, 1), string("$db", "admin")])
}

/// `{replSetInitiate: {_id: set, members: [{_id: 0, host}]}, $db: "admin"}`. Clients are told to use that host.
pub(super) fn initiate(set: &str, host: &str) -> Vec<u8> {
    let member = document(&[int("_id", 0), string("host", host)]);
    let members = document(&[element(0x03, "0", &member)]);
    let config = document(&[string("_id", set), element(0x04, "members", &members)]);
    document(&[element(0x03, "replSetInitiate", &config), string("$db", "admin")])
}

/// A message with that one document.
pub(super) fn op_msg(command: &[u8]) -> Vec<u8> {
    const OP_MSG: i32 = 2013;
    let length = 16 + 4 + 1 + command.len();
    let mut message = Vec::with_capacity(length);
    for number in [length as i32, 1, 0, OP_MSG, 0] {
        message.extend(number.to_le_bytes());
    }
    message.push(0);
    message.extend(command);
    message
}

fn document(elements: &[Vec<u8>]) -> Vec<u8> {
    let body = elements.concat();
    let mut bytes = ((body.len() + 5) as i32).to_le_bytes().to_vec();
    bytes.extend(body);
    bytes.push(0);
    bytes
}

fn element(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
    [&[kind], name.as_bytes(), &[0], value].concat()
}

fn int(name: &str, value: i32) -> Vec<u8> {
    element(0x10, name, &value.to_le_bytes())
}

fn string(name: &str, value: &str) -> Vec<u8> {
    let length = ((value.len() + 1) as i32).to_le_bytes();
    element(0x02, name, &[&length[..], value.as_bytes(), &[0]].concat())
}

/// Kind and bytes of a field at the top of a document.
pub(super) fn find<'a>(document: &'a [u8], name: &str) -> Option<(u8, &'a [u8])> {
    let mut rest = document.get(4..)?;
    loop {
        let (kind, after) = rest.split_first()?;
        let end = after.iter().position(|byte| *byte == 0)?;
        let (key, value) = (&after[..end], &after[end + 1..]);
        let length = match kind {
            0x01 | 0x09 | 0x11 | 0x12 => 8,
            0x02 => 4 + size(value)?,
            0x03 | 0x04 => size(value)?,
            0x05 => 5 + size(value)?,
            0x07 => 12,
            0x08 => 1,
            0x0a => 0,
            0x10 => 4,
            // The end of the document, or a kind that no answer here has.
            _ => return None,
        };
        let value_bytes = value.get(..length)?;
        if key == name.as_bytes() {
            return Some((*kind, value_bytes));
        }
        rest = &value[length..];
    }
}

fn size(value: &[u8]) -> Option<usize> {
    let bytes = value.first_chunk::<4>()?;
    usize::try_from(i32::from_le_bytes(*bytes)).ok()
}

/// Whether the field is true, or the number one: `ok` is a double.
pub(super) fn truth(document: &[u8], name: &str) -> bool {
    match find(document, name) {
        Some((0x08, value)) => value == [1],
        Some((0x01, value)) => value == 1.0_f64.to_le_bytes(),
        Some((0x10, value)) => value == 1_i32.to_le_bytes(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_document() {
        assert_eq!(
            command("hello"),
            b"\x1f\0\0\0\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0"
        );
    }

    #[test]
    fn a_field_is_found_behind_others() {
        let answer = document(&[
            element(0x03, "topologyVersion", &document(&[int("isWritablePrimary", 0)])),
            element(0x09, "localTime", &[0; 8]),
            element(0x04, "hosts", &document(&[string("0", "127.0.0.1:27017")])),
            string("setName", "rs0"),
            element(0x08, "isWritablePrimary", &[1]),
            element(0x01, "ok", &1.0_f64.to_le_bytes()),
        ]);
        assert!(truth(&answer, "isWritablePrimary"));
        assert!(truth(&answer, "ok"));
        assert!(!truth(&answer, "secondary"));
        assert_eq!(find(&answer, "setName"), Some((0x02, &b"\x04\0\0\0rs0\0"[..])));
    }

    #[test]
    fn what_is_no_document_has_no_fields() {
        for bytes in [
            &b""[..],
            b"\0\0\0\0",
            b"\x09\0\0\0\x02a\0\xff\xff\xff\xff",
            b"\0\0\0\0\x99a\0",
        ] {
            assert_eq!(find(bytes, "ok"), None);
        }
    }

    #[test]
    fn a_message_says_its_length() {
        let message = op_msg(&command("hello"));
        assert_eq!(message[..4], (message.len() as i32).to_le_bytes());
        assert_eq!(message[12..16], 2013_i32.to_le_bytes());
    }
}
