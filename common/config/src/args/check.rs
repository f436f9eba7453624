//! What the values of options must look like, each complaint a line that says what to write instead.

use crate::Secret;

/// `host:port[,host:port]`, as it is, without white space.
pub(super) fn brokers(text: &str) -> Result<String, String> {
    let brokers: Vec<&str> = text.split(',').map(str::trim).collect();
    for broker in &brokers {
        address(broker)?;
    }
    Ok(brokers.join(","))
}

/// What the name of a topic may begin with; empty for nothing.
pub(super) fn topic_prefix(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.len() > 100 || !text.chars().all(fits) {
        return Err(format!(
            "{text:?} must be at most 100 of the characters a-z, A-Z, 0-9, '.', '_' and '-'"
        ));
    }
    Ok(text.to_owned())
}

/// A connection string as MongoDB's drivers take it.
pub(super) fn mongodb_uri(text: &str) -> Result<Secret, String> {
    let secret: Secret = text.parse()?;
    let uri = secret.expose();
    if let Some(rest) = uri.strip_prefix("mongodb+srv://") {
        // One name, whose SRV records have the ports.
        return match authority(rest).1 {
            "" => Err("there is no host after mongodb+srv://".to_owned()),
            host if host.contains([',', ':']) => {
                Err("mongodb+srv:// takes one host without a port".to_owned())
            }
            _ => Ok(secret),
        };
    }
    let Some(rest) = uri.strip_prefix("mongodb://") else {
        return Err(
            "must begin with mongodb:// or mongodb+srv://, or be file:PATH of a file that does".to_owned(),
        );
    };
    let hosts = authority(rest).1;
    if hosts.is_empty() {
        return Err("there is no host; write mongodb://host:port/?replicaSet=name".to_owned());
    }
    // A host without a port means 27017.
    hosts
        .split(',')
        .filter(|host| !host.is_empty() && host_port(host).is_some())
        .try_for_each(address)?;
    let replicated = rest.to_ascii_lowercase().contains("replicaset=") || hosts.contains(',');
    if !replicated && !rest.to_ascii_lowercase().contains("directconnection=true") {
        return Err(
            "names no replica set, without which there are no transactions; append ?replicaSet=name"
                .to_owned(),
        );
    }
    Ok(secret)
}

/// A connection string as libpq takes it, in the form of a URL.
pub(super) fn postgres_url(text: &str) -> Result<Secret, String> {
    let secret: Secret = text.parse()?;
    let url = secret.expose();
    let Some(rest) = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
    else {
        return Err(
            "must begin with postgres:// or postgresql://, or be file:PATH of a file that does".to_owned(),
        );
    };
    let (_, host, path) = authority(rest);
    if host.is_empty() {
        return Err("there is no host; write postgres://user:password@host:port/database".to_owned());
    }
    if host_port(host).is_some() {
        address(host)?;
    }
    if path.split('?').next().unwrap_or_default().is_empty() {
        return Err("there is no database; write postgres://user:password@host:port/database".to_owned());
    }
    Ok(secret)
}

/// An address of Elasticsearch. It is shown, so that it may hold no password.
pub(super) fn elasticsearch_url(text: &str) -> Result<String, String> {
    let Some(rest) = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
    else {
        return Err(format!("{text:?} must begin with http:// or https://"));
    };
    let (user, host, path) = authority(rest);
    if user.is_some() {
        return Err(
            "must hold no password: use elasticsearch-username and elasticsearch-password".to_owned(),
        );
    }
    if host.is_empty() {
        return Err(format!("{text:?} has no host; write http://host:port"));
    }
    if host_port(host).is_some() {
        address(host)?;
    }
    if path.contains(['?', '#']) {
        return Err(format!("{text:?} must have no query"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// What MongoDB takes as the name of a database on every system, in bytes at most 63.
pub(super) fn database_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if text.is_empty() || text.len() > 63 || !text.chars().all(fits) {
        return Err(format!(
            "{text:?} must be 1 to 63 of the characters a-z, A-Z, 0-9, '_' and '-'"
        ));
    }
    Ok(text.to_owned())
}

/// How the name of an Elasticsearch index may begin.
pub(super) fn index_prefix(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !first || text.len() > 100 || !text.chars().all(fits) {
        return Err(format!(
            "{text:?} must be at most 100 of the characters a-z, 0-9, '_' and '-', a letter or digit first"
        ));
    }
    Ok(text.to_owned())
}

/// `host:port`.
fn address(text: &str) -> Result<(), String> {
    if text.contains("://") {
        return Err(format!("{text:?} is a URL; write host:port"));
    }
    let Some((host, port)) = host_port(text) else {
        return Err(format!("{text:?} has no port; write host:port"));
    };
    if host.is_empty() {
        return Err(format!("{text:?} has no host; write host:port"));
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err(format!(
            "{text:?} has the port {port:?}; it must be from 1 to 65535"
        )),
    }
}

/// An IPv6 address has its colons within brackets.
pub(super) fn host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let whole = host.starts_with('[') == host.ends_with(']');
    (whole && !port.ends_with(']')).then_some((host, port))
}

/// User information, hosts, and what is after the first slash.
pub(super) fn authority(text: &str) -> (Option<&str>, &str, &str) {
    let (authority, path) = match text.find(['/', '?']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let path = path.strip_prefix('/').unwrap_or(path);
    match authority.rsplit_once('@') {
        Some((user, hosts)) => (Some(user), hosts, path),
        None => (None, authority, path),
    }
}
