use super::check::*;

fn refused<T>(result: Result<T, String>) -> String {
    match result {
        Ok(_) => panic!("it was taken"),
        Err(message) => message,
    }
}

#[test]
fn brokers_have_ports() {
    assert_eq!(brokers("a:9092, b:9092").unwrap(), "a:9092,b:9092");
    assert_eq!(brokers("[::1]:9092").unwrap(), "[::1]:9092");
    assert_eq!(refused(brokers("x")), "\"x\" has no port; write host:port");
    assert_eq!(refused(brokers("a:1,")), "\"\" has no port; write host:port");
    assert_eq!(
        refused(brokers(":9092")),
        "\":9092\" has no host; write host:port"
    );
    assert!(refused(brokers("a:0")).contains("from 1 to 65535"));
    assert!(refused(brokers("a:99999")).contains("from 1 to 65535"));
    assert!(refused(brokers("kafka://a:1")).contains("is a URL"));
    assert!(refused(brokers("[::1]")).contains("has no port"));
}

#[test]
fn mongodb_has_a_replica_set() {
    for good in [
        "mongodb://127.0.0.1:27117/?replicaSet=rs0",
        "mongodb://user:p%40ss@a:1,b:2/admin?replicaSet=rs0&w=majority",
        "mongodb+srv://user:pass@cluster.example.org/?retryWrites=true",
        "mongodb://a/?replicaSet=rs0",
    ] {
        assert_eq!(mongodb_uri(good).unwrap().expose(), good);
    }
    assert!(refused(mongodb_uri("127.0.0.1:27017")).starts_with("must begin with mongodb://"));
    assert!(refused(mongodb_uri("mongodb://a:27017")).contains("append ?replicaSet=name"));
    assert!(refused(mongodb_uri("mongodb://a:x/?replicaSet=rs0")).contains("from 1 to 65535"));
    assert!(refused(mongodb_uri("mongodb:///?replicaSet=rs0")).contains("there is no host"));
    assert!(refused(mongodb_uri("mongodb+srv://a:1/")).contains("without a port"));
}

#[test]
fn postgres_has_a_database() {
    let good = "postgres://it:secret@127.0.0.1:15432/postgres?sslmode=disable";
    assert_eq!(postgres_url(good).unwrap().expose(), good);
    assert!(refused(postgres_url("mysql://a/b")).starts_with("must begin with postgres://"));
    assert!(refused(postgres_url("postgres://it@127.0.0.1:15432")).contains("no database"));
    assert!(refused(postgres_url("postgres:///postgres")).contains("no host"));
    assert!(refused(postgres_url("postgres://a:b/postgres")).contains("from 1 to 65535"));
}

#[test]
fn no_complaint_about_a_secret_tells_it() {
    for wrong in ["mongodb://u:hunter2@a:27017", "hunter2", "postgres://u:hunter2@a"] {
        assert!(!refused(mongodb_uri(wrong)).contains("hunter2"));
        assert!(!refused(postgres_url(wrong)).contains("hunter2"));
    }
}

#[test]
fn the_address_of_elasticsearch_holds_no_password() {
    assert_eq!(elasticsearch_url("http://a:9200/").unwrap(), "http://a:9200");
    assert_eq!(
        elasticsearch_url("https://es.example.org/search").unwrap(),
        "https://es.example.org/search"
    );
    assert!(refused(elasticsearch_url("a:9200")).contains("must begin with http://"));
    assert!(refused(elasticsearch_url("http://u:hunter2@a:9200")).contains("elasticsearch-password"));
    assert!(refused(elasticsearch_url("http://")).contains("no host"));
}

#[test]
fn names_are_what_the_servers_take() {
    assert!(database_name("events").is_ok() && database_name("video-ingest").is_ok());
    assert!(database_name("").is_err() && database_name("a.b").is_err() && database_name("a b").is_err());
    assert!(index_prefix("marquee-1").is_ok());
    assert!(index_prefix("Marquee").is_err() && index_prefix("_x").is_err() && index_prefix("").is_err());
}
