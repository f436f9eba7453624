//! Something that a server acknowledges and must then still have, by its own programs or a few bytes of its protocol.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use marquee_backends::{Backend, Home};

const WRITTEN: &str = "the-show-must-go-on";

/// Returns when the server has acknowledged it.
pub(crate) fn write(backend: Backend, address: &str) {
    match backend {
        Backend::Kafka => {
            let create = "--create --topic kept --partitions 1 --replication-factor 1";
            kafka("org.apache.kafka.tools.TopicCommand", address, create, "");
            let produce = "--topic kept --producer-property acks=all";
            kafka(
                "org.apache.kafka.tools.ConsoleProducer",
                address,
                produce,
                WRITTEN,
            );
        }
        Backend::MongoDb => {
            let insert = document(&[
                string("insert", "kept"),
                array(
                    "documents",
                    &document(&[string("_id", "1"), string("text", WRITTEN)]),
                ),
                embedded("writeConcern", &document(&[string("w", "majority")])),
                string("$db", "kept"),
            ]);
            let answer = mongodb(address, &insert);
            assert!(
                contains(&answer, b"n\0\x01\0\0\0"),
                "{}",
                String::from_utf8_lossy(&answer)
            );
        }
        Backend::S3 => {
            signed(address, "PUT", "/kept", WRITTEN);
        }
        Backend::Postgres => {
            psql(
                address,
                &format!("CREATE TABLE kept AS SELECT '{WRITTEN}' AS text"),
            );
        }
        Backend::Elasticsearch | Backend::Elasticsearch8 => {
            let index = r#"{"settings": {"number_of_replicas": 0, "analysis": {
                "filter": {
                    "prefixes": {"type": "edge_ngram", "min_gram": 1, "max_gram": 8},
                    "same": {"type": "synonym_graph", "synonyms": ["tv, television"]},
                    "stems": {"type": "stemmer", "language": "light_spanish"}
                },
                "analyzer": {
                    "prefix": {"tokenizer": "standard", "filter": ["lowercase", "asciifolding", "prefixes"]},
                    "words": {"tokenizer": "standard", "filter": ["lowercase", "same", "stems"]}
                }
            }}}"#;
            http(address, "PUT", "/kept", index);
            http(
                address,
                "PUT",
                "/kept/_doc/1",
                &format!(r#"{{"text": "{WRITTEN}"}}"#),
            );
        }
    }
}

/// Panics when it is not there.
pub(crate) fn read(backend: Backend, address: &str) {
    let found = match backend {
        Backend::Kafka => {
            let consume = "--topic kept --from-beginning --max-messages 1 --timeout-ms 30000";
            kafka(
                "org.apache.kafka.tools.consumer.ConsoleConsumer",
                address,
                consume,
                "",
            )
        }
        Backend::MongoDb => {
            let find = document(&[string("find", "kept"), string("$db", "kept")]);
            String::from_utf8_lossy(&mongodb(address, &find)).into_owned()
        }
        Backend::Postgres => psql(address, "SELECT text FROM kept"),
        Backend::S3 => signed(address, "GET", "/kept", ""),
        Backend::Elasticsearch | Backend::Elasticsearch8 => {
            let tokens = http(
                address,
                "POST",
                "/kept/_analyze",
                r#"{"analyzer": "words", "text": "TV"}"#,
            );
            assert!(tokens.contains("television"), "{tokens}");
            let root = http(address, "GET", "/", "");
            assert!(root.contains(backend.version()), "{root}");
            http(address, "GET", "/kept/_doc/1", "")
        }
    };
    assert!(
        found.contains(WRITTEN),
        "{backend} has lost what it acknowledged: {found}"
    );
}

fn kafka(class: &str, address: &str, arguments: &str, input: &str) -> String {
    let version = format!("kafka-{}", Backend::Kafka.version());
    let jars = Home::default()
        .unwrap()
        .folder()
        .join(version)
        .join("lib")
        .join("*");
    let mut command = Command::new("java");
    command
        .args(["-Xmx128m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"])
        .arg(class)
        .args(["--bootstrap-server", address])
        .args(arguments.split(' '))
        .env("CLASSPATH", jars);
    run(command, input)
}

/// A signed request for an object of the bucket, by curl.
fn signed(address: &str, method: &str, path: &str, body: &str) -> String {
    let (credentials, place) = address.strip_prefix("http://").unwrap().split_once('@').unwrap();
    let mut command = Command::new("curl");
    command
        .args([
            "-sS",
            "--fail-with-body",
            "-X",
            method,
            "--aws-sigv4",
            "aws:amz:us-east-1:s3",
        ])
        .args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-u", credentials])
        .arg(format!("http://{place}{path}"));
    if !body.is_empty() {
        command.args(["--data-binary", "@-"]);
    }
    run(command, body)
}

fn psql(address: &str, query: &str) -> String {
    let mut command = Command::new("psql");
    command.args([address, "-v", "ON_ERROR_STOP=1", "-Atc", query]);
    run(command, "")
}

fn run(mut command: Command, input: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn http(address: &str, method: &str, path: &str, body: &str) -> String {
    let host = address.strip_prefix("http://").unwrap();
    let mut stream = connect(host);
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap();
    assert!(status.starts_with('2'), "{method} {path}: {answer}");
    answer
}

/// An answer to one OP_MSG.
fn mongodb(address: &str, command: &[u8]) -> Vec<u8> {
    let host = address.strip_prefix("mongodb://").unwrap();
    let mut stream = connect(Path::new(host).parent().unwrap().to_str().unwrap());
    let mut message = Vec::new();
    for number in [21 + command.len() as i32, 1, 0, 2013, 0] {
        message.extend(number.to_le_bytes());
    }
    message.push(0);
    message.extend(command);
    stream.write_all(&message).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; i32::from_le_bytes(length) as usize - 4];
    stream.read_exact(&mut answer).unwrap();
    answer
}

fn connect(host: &str) -> TcpStream {
    let stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn document(elements: &[Vec<u8>]) -> Vec<u8> {
    let body = elements.concat();
    [&(body.len() as i32 + 5).to_le_bytes()[..], &body, &[0]].concat()
}

fn string(name: &str, value: &str) -> Vec<u8> {
    let length = (value.len() as i32 + 1).to_le_bytes();
    [&[2], name.as_bytes(), &[0], &length[..], value.as_bytes(), &[0]].concat()
}

fn embedded(name: &str, document: &[u8]) -> Vec<u8> {
    [&[3], name.as_bytes(), &[0], document].concat()
}

fn array(name: &str, only: &[u8]) -> Vec<u8> {
    [&[4], name.as_bytes(), &[0], &document(&[embedded("0", only)])].concat()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
