use std::sync::Arc;

use marquee_auth::principal;
use marquee_proto::subscriptions::v1::session_service_server::SessionService;
use marquee_proto::subscriptions::v1::{
    self, GetKeySetRequest, GetKeySetResponse, IssueServiceTokenRequest, IssueServiceTokenResponse,
    LoginRequest, LoginResponse, LogoutRequest, LogoutResponse, RefreshRequest, RefreshResponse,
};
use marquee_proto::time::duration_to_proto;
use tonic::{Request, Response, Status};

use super::decode::Fields;
use crate::app::{App, Tokens};
use crate::domain::account::Password;
use crate::domain::email::Email;
use crate::wire;

pub(super) struct Sessions(pub(super) Arc<App>);

#[tonic::async_trait]
impl SessionService for Sessions {
    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let caller = principal(&request);
        let peer = request.remote_addr().map(|address| address.ip());
        let request = request.into_inner();
        let mut fields = Fields::new(&caller);
        let email = fields.take("email", Email::parse(&request.email));
        let password = fields
            .required("password", &request.password)
            .map(Password::claimed);
        let (Some(email), Some(password)) = (email, password) else {
            return Err(fields.refuse().into());
        };
        let signed_in = self.0.login(&email, password, peer).await?;
        Ok(Response::new(LoginResponse {
            tokens: Some(encode(signed_in.tokens)),
            account: Some(wire::account(&signed_in.account)),
        }))
    }

    async fn refresh(&self, request: Request<RefreshRequest>) -> Result<Response<RefreshResponse>, Status> {
        let caller = principal(&request);
        let mut fields = Fields::new(&caller);
        let Some(token) = fields.required("refresh_token", &request.get_ref().refresh_token) else {
            return Err(fields.refuse().into());
        };
        let tokens = self.0.refresh(token).await?;
        Ok(Response::new(RefreshResponse {
            tokens: Some(encode(tokens)),
        }))
    }

    async fn logout(&self, request: Request<LogoutRequest>) -> Result<Response<LogoutResponse>, Status> {
        let caller = principal(&request);
        let mut fields = Fields::new(&caller);
        let Some(token) = fields.required("refresh_token", &request.get_ref().refresh_token) else {
            return Err(fields.refuse().into());
        };
        self.0.logout(token).await?;
        Ok(Response::new(LogoutResponse {}))
    }

    async fn get_key_set(&self, _: Request<GetKeySetRequest>) -> Result<Response<GetKeySetResponse>, Status> {
        let keys = self.0.key_set()?.iter().cloned().map(Into::into).collect();
        Ok(Response::new(GetKeySetResponse { keys }))
    }

    async fn issue_service_token(
        &self,
        request: Request<IssueServiceTokenRequest>,
    ) -> Result<Response<IssueServiceTokenResponse>, Status> {
        let request = request.into_inner();
        let (access_token, expires_in) = self.0.service_token(&request.service, &request.secret)?;
        Ok(Response::new(IssueServiceTokenResponse {
            access_token,
            expires_in: Some(duration_to_proto(expires_in)),
        }))
    }
}

fn encode(tokens: Tokens) -> v1::Tokens {
    v1::Tokens {
        access_token: tokens.access_token,
        expires_in: Some(duration_to_proto(tokens.expires_in)),
        refresh_token: tokens.refresh_token,
    }
}
