//! The options that name the vendor's licensing contact.

use clap::Args;
use sealpost_manifests::trust::LicensingContact;

/// Whom customers ask about licenses; published in trust.json.
#[derive(Debug, Default, Args)]
pub(super) struct ContactOptions {
    /// A person or department that customers ask about licenses.
    #[arg(long, value_name = "NAME")]
    contact_name: Option<String>,
    /// Its mail address.
    #[arg(long, value_name = "MAIL")]
    contact_mail: Option<String>,
    /// Its telephone number.
    #[arg(long, value_name = "NUMBER")]
    contact_phone: Option<String>,
    /// Its web page.
    #[arg(long, value_name = "URL")]
    contact_url: Option<String>,
}

impl ContactOptions {
    /// `None` if none was given.
    pub(super) fn into_contact(self) -> Option<LicensingContact> {
        let Self { contact_name, contact_mail, contact_phone, contact_url } = self;
        let given = [&contact_name, &contact_mail, &contact_phone, &contact_url];
        given.iter().any(|part| part.is_some()).then(|| LicensingContact {
            name: contact_name.unwrap_or_default(),
            mail: contact_mail.unwrap_or_default(),
            phone: contact_phone.unwrap_or_default(),
            url: contact_url.unwrap_or_default(),
        })
    }
}
