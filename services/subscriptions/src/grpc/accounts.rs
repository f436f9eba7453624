use std::sync::Arc;

use jiff::tz::TimeZone;
use marquee_auth::principal;
use marquee_proto::subscriptions::v1::account_service_server::AccountService;
use marquee_proto::subscriptions::v1::{
    Account, CreateAccountRequest, CreateAccountResponse, GetAccountRequest, GetAccountResponse,
    UpdateAccountRequest, UpdateAccountResponse,
};
use tonic::{Request, Response, Status};

use super::decode::Fields;
use crate::app::App;
use crate::app::accounts::Registration;
use crate::domain::account::{BirthDate, DisplayName, Gender, Password, Profile, ProfileChange};
use crate::domain::country::Country;
use crate::domain::email::Email;
use crate::wire;

pub(super) struct Accounts(pub(super) Arc<App>);

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn create_account(
        &self,
        request: Request<CreateAccountRequest>,
    ) -> Result<Response<CreateAccountResponse>, Status> {
        let caller = principal(&request);
        let peer = request.remote_addr().map(|address| address.ip());
        let request = request.into_inner();
        let account = request.account.unwrap_or_default();
        let mut fields = Fields::new(&caller);
        let email = fields.take("account.email", Email::parse(&account.email));
        let display_name = fields.take("account.display_name", DisplayName::parse(&account.display_name));
        let country = fields.optional("account.country", &account.country, Country::parse);
        let birth_date = fields.optional("account.birth_date", &account.birth_date, |text| {
            self.birth_date(text)
        });
        let gender = fields.optional("account.gender", &account.gender, Gender::parse);
        let password = fields.take("password", Password::parse(&request.password));
        let request = match request.request_id.as_str() {
            "" => Some(None),
            id => fields.request_id(id).map(|id| Some((id, caller.id()))),
        };
        let (
            Some(email),
            Some(display_name),
            Some(country),
            Some(birth_date),
            Some(gender),
            Some(password),
            Some(request),
        ) = (
            email,
            display_name,
            country,
            birth_date,
            gender,
            password,
            request,
        )
        else {
            return Err(fields.refuse().into());
        };
        let profile = Profile {
            display_name,
            country,
            birth_date,
            gender,
        };
        let registration = Registration {
            email,
            profile,
            password,
            peer,
            request,
        };
        Ok(Response::new(self.0.create_account(registration).await?))
    }

    async fn get_account(
        &self,
        request: Request<GetAccountRequest>,
    ) -> Result<Response<GetAccountResponse>, Status> {
        let caller = principal(&request);
        let mut fields = Fields::new(&caller);
        let name = fields.owned("name", &request.get_ref().name);
        let Some(owner) = fields.owner(&self.0, name).await? else {
            return Err(fields.refuse().into());
        };
        let account = self.0.account(&owner).await?;
        Ok(Response::new(GetAccountResponse {
            account: Some(wire::account(&account)),
        }))
    }

    async fn update_account(
        &self,
        request: Request<UpdateAccountRequest>,
    ) -> Result<Response<UpdateAccountResponse>, Status> {
        let caller = principal(&request);
        let request = request.into_inner();
        let account = request.account.unwrap_or_default();
        let mut fields = Fields::new(&caller);
        let name = fields.owned("account.name", &account.name);
        let owner = fields.owner(&self.0, name).await?;
        let paths = match request.update_mask {
            Some(mask) if !mask.paths.is_empty() => mask.paths,
            _ => set_fields(&account),
        };
        let change = self.change(&mut fields, &account, &paths);
        let email = paths
            .iter()
            .any(|path| path == "email")
            .then_some(account.email.as_str());
        let (true, Some(owner)) = (fields.is_valid(), owner) else {
            return Err(fields.refuse().into());
        };
        let account = self
            .0
            .update_account(&owner, change, email, &account.etag)
            .await?;
        Ok(Response::new(UpdateAccountResponse {
            account: Some(wire::account(&account)),
        }))
    }
}

/// The paths of an empty mask: every field that is set. What is output only may come along from a read.
fn set_fields(account: &Account) -> Vec<String> {
    [
        ("email", &account.email),
        ("display_name", &account.display_name),
        ("country", &account.country),
        ("birth_date", &account.birth_date),
        ("gender", &account.gender),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(path, _)| path.to_owned())
    .collect()
}

impl Accounts {
    fn birth_date(&self, text: &str) -> Result<BirthDate, &'static str> {
        // Somebody is born today in some places while it is yesterday in UTC: the last place that day begins counts.
        let today = self
            .0
            .now()
            .to_zoned(TimeZone::fixed(jiff::tz::offset(14)))
            .date();
        BirthDate::parse(text, today)
    }

    fn change(&self, fields: &mut Fields<'_>, account: &Account, paths: &[String]) -> ProfileChange {
        let mut change = ProfileChange::default();
        for path in paths {
            match path.as_str() {
                "display_name" => {
                    let name = DisplayName::parse(&account.display_name);
                    change.display_name = fields.take("account.display_name", name);
                }
                "country" => {
                    change.country = fields.optional("account.country", &account.country, Country::parse);
                }
                "birth_date" => {
                    let parse = |text: &str| self.birth_date(text);
                    change.birth_date = fields.optional("account.birth_date", &account.birth_date, parse);
                }
                "gender" => {
                    change.gender = fields.optional("account.gender", &account.gender, Gender::parse);
                }
                // Compared with the account's own later: sending it back unchanged does no harm.
                "email" => {}
                other => {
                    let refused: Result<(), _> = Err(format!(
                        "`{}` is no field that can be changed: display_name, country, birth_date, gender are",
                        other.chars().take(40).collect::<String>()
                    ));
                    fields.take("update_mask", refused);
                }
            }
        }
        change
    }
}
