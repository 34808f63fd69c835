//! Where the shipments of a spool go: what tells those of one run from those of another.
//!
//! Knows how it is written down and how messages name it. Knows no file.

use serde_json::{Value, json};

/// Where shipments go. Those for another place are none of our business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The push address, without credentials.
    pub url: String,
    /// The tenant, where one is named.
    pub tenant: Option<String>,
    /// The user of basic auth: gateways take the tenant from it.
    pub user: Option<String>,
}

impl Destination {
    /// As it is written down.
    pub fn to_json(&self) -> Value {
        json!({ "url": self.url, "tenant": self.tenant, "user": self.user })
    }

    /// Reads what was written down.
    pub fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            url: text("url")?,
            tenant: text("tenant"),
            user: text("user"),
        })
    }

    /// As a message names it.
    pub fn shown(&self) -> String {
        let named = |what: &str, name: &Option<String>| {
            let name = name.as_ref();
            name.map_or_else(String::new, |name| format!(", {what} {name}"))
        };
        format!(
            "{}{}{}",
            self.url,
            named("tenant", &self.tenant),
            named("user", &self.user)
        )
    }
}
