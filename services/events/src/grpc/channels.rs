//! ChannelService.

use std::sync::Arc;

use marquee_auth::principal;
use marquee_documents::Error as StoreError;
use marquee_error::Violations;
use marquee_proto::events::v1 as proto;
use marquee_proto::events::v1::channel_service_server::ChannelService;
use marquee_proto::name::AccountName;
use tonic::{Request, Response, Status};

use super::decode;
use crate::app::{App, ChannelUpdate, NewChannel};
use crate::domain::channel::{ProfileDraft, ProfileField};
use crate::domain::list::{fingerprint, seal, unseal};
use crate::error::{Error, Result};
use crate::wire;

const FOREIGN_TOKEN: &str = "must be the next_page_token of the same list, with the same owner";

pub(crate) struct Channels(pub(crate) Arc<App>);

fn draft(channel: proto::Channel) -> ProfileDraft {
    ProfileDraft {
        handle: channel.handle,
        display_name: channel.display_name,
        description: channel.description,
        language: channel.language,
        tags: channel.tags,
    }
}

impl Channels {
    async fn create(
        &self,
        request: Request<proto::CreateChannelRequest>,
    ) -> Result<proto::CreateChannelResponse> {
        let caller = principal(&request);
        let mut request = request.into_inner();
        let request_id = std::mem::take(&mut request.request_id);
        let mut violations = Violations::default();
        let key = decode::request_key(&mut violations, &caller, "CreateChannel", &request_id, &request);
        let draft = draft(request.channel.unwrap_or_default());
        self.0
            .create_channel(
                &caller,
                NewChannel {
                    draft,
                    key,
                    violations,
                },
            )
            .await
    }

    async fn list(
        &self,
        request: Request<proto::ListChannelsRequest>,
    ) -> Result<proto::ListChannelsResponse> {
        let caller = principal(&request);
        let request = request.into_inner();
        let mut violations = Violations::default();
        let size = decode::page_size(&mut violations, request.page_size);
        let owner = match request.owner.as_str() {
            "" => None,
            "accounts/me" => Some(caller.resolve_account(&request.owner, "owner")?.to_string()),
            // Who owns which channel is public.
            owner => violations
                .take("owner", owner.parse())
                .map(|name: AccountName| name.to_string()),
        };
        // By what the caller wrote when that is no name, so that a token can be checked beside it.
        let bound_to = fingerprint(&["channels", owner.as_deref().unwrap_or(&request.owner)]);
        let token = match request.page_token.as_str() {
            "" => Some(String::new()),
            token => {
                let unsealed = unseal(bound_to, token);
                violations.check(unsealed.is_some(), "page_token", || FOREIGN_TOKEN.to_owned());
                unsealed
            }
        };
        violations.finish()?;
        let page = self
            .0
            .list_channels(owner.as_deref(), size, &token.unwrap_or_default())
            .await;
        let page = page.map_err(|error| match error {
            Error::Store(StoreError::InvalidPageToken) => {
                marquee_error::invalid("page_token", FOREIGN_TOKEN).into()
            }
            error => error,
        })?;
        Ok(proto::ListChannelsResponse {
            channels: page
                .items
                .iter()
                .map(|channel| wire::channel(&channel.value))
                .collect(),
            next_page_token: page
                .next_page_token
                .map(|token| seal(bound_to, &token))
                .unwrap_or_default(),
        })
    }

    async fn update(
        &self,
        request: Request<proto::UpdateChannelRequest>,
    ) -> Result<proto::UpdateChannelResponse> {
        let caller = principal(&request);
        let request = request.into_inner();
        let channel = request.channel.unwrap_or_default();
        let mut violations = Violations::default();
        let name = violations.take("channel.name", channel.name.parse());
        let etag = channel.etag.clone();
        let draft = draft(channel);
        let fields = decode::update_mask(&mut violations, request.update_mask.as_ref(), ProfileField::ALL);
        let fields = fields.unwrap_or_else(|| draft.set_fields());
        draft.check_named(&fields, &mut violations);
        violations.finish()?;
        let name = name.ok_or_else(|| marquee_error::invalid("channel.name", "is required"))?;
        let channel = self
            .0
            .update_channel(
                &caller,
                ChannelUpdate {
                    name,
                    draft,
                    fields,
                    etag,
                },
            )
            .await?;
        Ok(proto::UpdateChannelResponse {
            channel: Some(wire::channel(&channel)),
        })
    }
}

#[tonic::async_trait]
impl ChannelService for Channels {
    async fn create_channel(
        &self,
        request: Request<proto::CreateChannelRequest>,
    ) -> Result<Response<proto::CreateChannelResponse>, Status> {
        Ok(Response::new(self.create(request).await?))
    }

    async fn get_channel(
        &self,
        request: Request<proto::GetChannelRequest>,
    ) -> Result<Response<proto::GetChannelResponse>, Status> {
        let channel = self.0.get_channel(&request.get_ref().name).await?;
        Ok(Response::new(proto::GetChannelResponse {
            channel: Some(wire::channel(&channel.value)),
        }))
    }

    async fn list_channels(
        &self,
        request: Request<proto::ListChannelsRequest>,
    ) -> Result<Response<proto::ListChannelsResponse>, Status> {
        Ok(Response::new(self.list(request).await?))
    }

    async fn update_channel(
        &self,
        request: Request<proto::UpdateChannelRequest>,
    ) -> Result<Response<proto::UpdateChannelResponse>, Status> {
        Ok(Response::new(self.update(request).await?))
    }
}
