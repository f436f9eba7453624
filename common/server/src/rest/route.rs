use http::Method;
use http::uri::PathAndQuery;
use marquee_proto::DESCRIPTORS;
use prost_reflect::{
    DynamicMessage, ExtensionDescriptor, FieldDescriptor, MessageDescriptor, MethodDescriptor, Value,
};

use super::openapi;
use super::template::{Template, TemplateError};

/// One binding of an RPC to a method and a path.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) template: Template,
    /// The template as people read it: `/v1/channels/{channel}`.
    pub(crate) path: String,
    /// For each variable of the template the fields that lead to its value.
    pub(crate) variables: Vec<Vec<FieldDescriptor>>,
    pub(crate) body: Body,
    pub(crate) rpc: MethodDescriptor,
    /// `/marquee.events.v1.EventService/GetEvent`.
    pub(crate) grpc_path: PathAndQuery,
    /// One of `additional_bindings`: the RPC has another route, which comes first.
    pub(crate) additional: bool,
}

/// Where the body of the HTTP request goes.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    None,
    /// `body: "*"`: the body is the request.
    Whole,
    /// `body: "event"`: the body is this field.
    Field(FieldDescriptor),
}

/// A wrong `google.api.http` annotation.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    #[error("{rpc}: {source}")]
    Template { rpc: String, source: TemplateError },
    #[error("{rpc}: the request has no field {field:?}")]
    UnknownField { rpc: String, field: String },
    #[error("{rpc}: {problem}")]
    Unsupported { rpc: String, problem: &'static str },
    #[error("{first} and {second} have the same path {template:?}")]
    Duplicate {
        first: String,
        second: String,
        template: String,
    },
}

/// The routes of some services, most particular first.
#[derive(Debug, Clone)]
pub(crate) struct Routes(Vec<Route>);

/// What a method and a path lead to.
pub(crate) enum Found<'a> {
    Route(&'a Route, Vec<String>),
    /// The path is known, as that of this route, with these methods only.
    OtherMethod(&'a Route, Vec<Method>),
    Nothing,
}

impl Routes {
    /// Reads the annotations of the services with these full names; a service without descriptors has no route.
    pub(crate) fn of<'a>(services: impl IntoIterator<Item = &'a str>) -> Result<Self, RouteError> {
        let Some(http) = DESCRIPTORS.get_extension_by_name("google.api.http") else {
            return Ok(Self(Vec::new()));
        };
        let mut routes: Vec<Route> = Vec::new();
        for service in services
            .into_iter()
            .filter_map(|name| DESCRIPTORS.get_service_by_name(name))
        {
            for rpc in service.methods() {
                for route in bindings(&http, &rpc)? {
                    let same = routes.iter().find(|other| {
                        other.method == route.method
                            && other.template.segments == route.template.segments
                            && other.template.verb == route.template.verb
                    });
                    if let Some(other) = same {
                        return Err(RouteError::Duplicate {
                            first: other.rpc.full_name().to_owned(),
                            second: rpc.full_name().to_owned(),
                            template: format!("{:?}", route.template.segments),
                        });
                    }
                    routes.push(route);
                }
            }
        }
        routes.sort_by_key(|route| route.template.rank());
        Ok(Self(routes))
    }

    /// HEAD finds what GET finds.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let wanted = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let mut others = Vec::new();
        let mut known = None;
        for route in &self.0 {
            if let Some(values) = route.template.capture(path) {
                if route.method == wanted {
                    return Found::Route(route, values);
                }
                known = known.or(Some(route));
                if !others.contains(&route.method) {
                    others.push(route.method.clone());
                }
            }
        }
        known.map_or(Found::Nothing, |route| Found::OtherMethod(route, others))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }
}

fn bindings(http: &ExtensionDescriptor, rpc: &MethodDescriptor) -> Result<Vec<Route>, RouteError> {
    let options = rpc.options();
    if !options.has_extension(http) {
        return Ok(Vec::new());
    }
    let rule = options.get_extension(http).into_owned();
    let Value::Message(rule) = rule else {
        return Ok(Vec::new());
    };
    let mut routes = vec![binding(&rule, rpc)?];
    if let Some(more) = rule.get_field_by_name("additional_bindings")
        && let Some(more) = more.as_list()
    {
        for rule in more.iter().filter_map(Value::as_message) {
            routes.push(Route {
                additional: true,
                ..binding(rule, rpc)?
            });
        }
    }
    Ok(routes)
}

fn binding(rule: &DynamicMessage, rpc: &MethodDescriptor) -> Result<Route, RouteError> {
    let text = |field: &str| {
        rule.get_field_by_name(field)
            .and_then(|value| value.as_str().map(str::to_owned))
            .filter(|text| !text.is_empty())
    };
    let unsupported = |problem| RouteError::Unsupported {
        rpc: rpc.full_name().to_owned(),
        problem,
    };
    let (method, template) = [
        (Method::GET, "get"),
        (Method::PUT, "put"),
        (Method::POST, "post"),
        (Method::DELETE, "delete"),
        (Method::PATCH, "patch"),
    ]
    .into_iter()
    .find_map(|(method, field)| text(field).map(|template| (method, template)))
    .ok_or_else(|| unsupported("a binding needs get, put, post, delete or patch"))?;
    if rpc.is_client_streaming() {
        return Err(unsupported("an RPC with a client stream has no REST form"));
    }
    if rpc.is_server_streaming() && method != Method::GET {
        return Err(unsupported("a server stream is bound to GET, for EventSource"));
    }
    if text("response_body").is_some() {
        return Err(unsupported("response_body is not supported"));
    }
    let template = Template::parse(&template).map_err(|source| RouteError::Template {
        rpc: rpc.full_name().to_owned(),
        source,
    })?;
    let variables = template
        .variables
        .iter()
        .map(|variable| resolve(rpc, &variable.field))
        .collect::<Result<Vec<_>, _>>()?;
    let body = match text("body").as_deref() {
        None => Body::None,
        Some("*") => Body::Whole,
        Some(field) => Body::Field(field_named(rpc, &rpc.input(), field)?),
    };
    let grpc_path = format!("/{}/{}", rpc.parent_service().full_name(), rpc.name())
        .parse()
        .map_err(|_| unsupported("its name makes no path"))?;
    Ok(Route {
        method,
        path: openapi::path(&template).0,
        template,
        variables,
        body,
        rpc: rpc.clone(),
        grpc_path,
        additional: false,
    })
}

fn resolve(rpc: &MethodDescriptor, path: &[String]) -> Result<Vec<FieldDescriptor>, RouteError> {
    let unknown = || RouteError::UnknownField {
        rpc: rpc.full_name().to_owned(),
        field: path.join("."),
    };
    let mut message = Some(rpc.input());
    let mut fields = Vec::with_capacity(path.len());
    for name in path {
        let field = field_named(rpc, &message.ok_or_else(unknown)?, name)?;
        message = field.kind().as_message().cloned();
        fields.push(field);
    }
    match fields.last() {
        Some(last) if !last.is_list() && !last.is_map() && message.is_none() => Ok(fields),
        _ => Err(unknown()),
    }
}

fn field_named(
    rpc: &MethodDescriptor,
    message: &MessageDescriptor,
    name: &str,
) -> Result<FieldDescriptor, RouteError> {
    message
        .get_field_by_name(name)
        .ok_or_else(|| RouteError::UnknownField {
            rpc: rpc.full_name().to_owned(),
            field: name.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        Routes::of(
            DESCRIPTORS
                .services()
                .map(|service| service.full_name().to_owned())
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str),
        )
        .unwrap()
    }

    fn rpc(method: Method, path: &str) -> Option<String> {
        match routes().find(&method, path) {
            Found::Route(route, _) => Some(route.rpc.name().to_owned()),
            _ => None,
        }
    }

    #[test]
    fn every_annotation_of_the_product_makes_a_route() {
        assert_eq!(
            rpc(Method::GET, "/v1/channels/c/events/e").as_deref(),
            Some("GetEvent")
        );
        assert_eq!(
            rpc(Method::GET, "/v1/channels/c/events/e:watch").as_deref(),
            Some("WatchEvent")
        );
        assert_eq!(
            rpc(Method::POST, "/v1/channels/c/events/e:cancel").as_deref(),
            Some("CancelEvent")
        );
        assert_eq!(
            rpc(Method::PATCH, "/v1/channels/c/events/e").as_deref(),
            Some("UpdateEvent")
        );
        assert_eq!(rpc(Method::HEAD, "/v1/channels/c").as_deref(), Some("GetChannel"));
    }

    #[test]
    fn an_additional_binding_leads_to_the_same_rpc() {
        assert_eq!(
            rpc(Method::GET, "/v1/channels/c/events").as_deref(),
            Some("ListEvents")
        );
        assert_eq!(rpc(Method::GET, "/v1/events").as_deref(), Some("ListEvents"));
    }

    #[test]
    fn a_known_path_tells_its_methods() {
        let routes = routes();
        let Found::OtherMethod(_, mut methods) = routes.find(&Method::DELETE, "/v1/channels") else {
            panic!("found");
        };
        methods.sort_by_key(ToString::to_string);
        assert_eq!(methods, [Method::GET, Method::POST]);
        assert!(matches!(
            routes.find(&Method::GET, "/v2/channels"),
            Found::Nothing
        ));
    }
}
