//! One POST.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, USER_AGENT};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use marquee_config::Secret;

use super::call::Form;
use super::sign;

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// 2xx.
    Taken,
    /// 3xx, and where to.
    Moved(String),
    /// Any other status.
    Refused(u16),
    /// None came; why.
    Silent(String),
}

/// Sends forms.
pub(super) struct Client {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    secret: Option<Secret>,
}

impl Client {
    pub(super) fn new(secret: Option<Secret>) -> Self {
        Self {
            http: legacy::Client::builder(TokioExecutor::new()).build_http(),
            secret,
        }
    }

    /// Sends it once. The body of the answer is nobody's business.
    pub(super) async fn post(&self, uri: &Uri, form: &Form) -> Answer {
        let mut request = Request::new(Full::new(Bytes::from(form.0.clone())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        headers.insert(USER_AGENT, HeaderValue::from_static("marquee-video-ingest"));
        if let Some(secret) = &self.secret {
            let signature = sign::signature(secret.expose(), Timestamp::now().as_second(), &form.0);
            if let Ok(signature) = HeaderValue::from_str(&signature) {
                headers.insert("x-marquee-signature", signature);
            }
        }
        match self.http.request(request).await {
            Ok(response) if response.status().is_success() => Answer::Taken,
            Ok(response) if response.status().is_redirection() => {
                let location = response.headers().get(LOCATION);
                let location = location.and_then(|location| location.to_str().ok());
                Answer::Moved(location.unwrap_or_default().to_owned())
            }
            Ok(response) => Answer::Refused(response.status().as_u16()),
            Err(error) => Answer::Silent(error.to_string()),
        }
    }
}
