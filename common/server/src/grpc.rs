//! What every RPC passes through, whether it comes as gRPC, grpc-web or REST.
//!
//! ```text
//!   request ─► trace, metrics ─► bounds: deadline, load, sizes, shutdown ─► guard ─► table ─► tonic service
//! ```

mod body;
mod bounds;
mod gzip;
mod table;

use std::sync::Arc;

use marquee_auth::{Guard, GuardLayer, Verifier};
use marquee_proto::DESCRIPTORS;
use marquee_telemetry::{Rpc, RpcBody, RpcLayer};
use tokio_util::sync::CancellationToken;
use tower::Layer as _;

pub(crate) use self::body::Body;
use self::bounds::{Bounded, Bounds};
pub use self::bounds::{Deadline, remaining};
pub(crate) use self::table::Table;
use crate::Limits;

/// The services behind their layers. Cheap to clone; always ready.
pub(crate) type Stack = Rpc<Bounded<Guard<Table>>>;
pub(crate) type StackBody = RpcBody<Body>;

/// `draining` ends every stream.
pub(crate) fn stack(
    table: Table,
    verifier: Arc<Verifier>,
    limits: &Limits,
    draining: CancellationToken,
) -> Stack {
    let bounds = Bounds::new(limits, draining);
    let paths = methods(&table.names());
    RpcLayer::new(paths).layer(bounds.layer(GuardLayer::new(verifier).layer(table)))
}

/// The paths of the RPCs of these services.
fn methods(services: &[&str]) -> Vec<String> {
    // Health and reflection are not among our descriptors.
    const OTHERS: [&str; 5] = [
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/List",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ];
    let ours = services
        .iter()
        .filter_map(|name| DESCRIPTORS.get_service_by_name(name))
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|rpc| format!("/{}/{}", rpc.parent_service().full_name(), rpc.name()));
    ours.chain(OTHERS.map(ToOwned::to_owned)).collect()
}
