//! `grpc.health.v1.Health`: the phase of the process, for the whole of it and for the one service it has.

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::tempopb::streaming_querier_server::SERVICE_NAME;
use crate::state::{App, Phase};

/// See the module.
#[derive(Debug)]
pub(super) struct PhaseHealth(pub(super) App);

#[tonic::async_trait]
impl Health for PhaseHealth {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        check_name(&request)?;
        Ok(Response::new(answer(self.0.phase())))
    }

    /// Ends when the process does, which would otherwise wait for those who watch.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        check_name(&request)?;
        let mut phases = self.0.phases();
        phases.mark_changed();
        let told = stream::unfold(Some(phases), async |phases| {
            let mut phases = phases?;
            phases.changed().await.ok()?;
            let phase = *phases.borrow_and_update();
            Some((Ok(answer(phase)), (phase != Phase::Stopping).then_some(phases)))
        });
        Ok(Response::new(told.boxed()))
    }
}

fn check_name(request: &Request<HealthCheckRequest>) -> Result<(), Status> {
    match request.get_ref().service.as_str() {
        "" | SERVICE_NAME => Ok(()),
        other => Err(Status::not_found(format!("no service `{other}` here"))),
    }
}

fn answer(phase: Phase) -> HealthCheckResponse {
    let status = match phase {
        Phase::Ready => ServingStatus::Serving,
        Phase::Starting | Phase::Stopping => ServingStatus::NotServing,
    };
    HealthCheckResponse { status: status.into() }
}
