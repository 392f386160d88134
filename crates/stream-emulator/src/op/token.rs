//! `POST …/stream/{uid}/token`: a signed token by which a video plays that needs one.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use stream_api::Op;

use crate::account::keys;
use crate::op::call::ok;
use crate::op::{Answered, Call, refuse};

/// How far ahead a token may expire.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// Access rules of one token.
const MOST_RULES: usize = 5;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wishes {
    id: Option<String>,
    pem: Option<String>,
    exp: Option<i64>,
    nbf: Option<i64>,
    downloadable: Option<bool>,
    access_rules: Option<Vec<Rule>>,
    flags: Option<Flags>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Flags {
    original: bool,
}

#[derive(Debug, Deserialize, Serialize)]
struct Rule {
    #[serde(rename = "type")]
    kind: String,
    action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    country: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ip: Option<Vec<String>>,
}

/// Answers the operation of this group.
pub(crate) async fn answer(call: Call<'_>) -> Answered {
    match call.op {
        Op::TokenCreate => create(call).await,
        _ => super::unknown(),
    }
}

/// Signs with the account's own key, or with the key that the request brings. Whether that one was
/// revoked is found out by whoever plays.
async fn create(call: Call<'_>) -> Answered {
    let wishes: Wishes = call.json_if_any().await?;
    let uid = call.video()?.video.uid;
    let (account, now) = (call.account().to_owned(), call.now());
    let brought = match (wishes.id.clone(), wishes.pem.clone()) {
        (None, None) => None,
        (Some(id), Some(pem)) => Some((id, pem)),
        _ => return refuse("id and pem are given together, or not at all"),
    };
    let claims = claims(wishes, &uid, now).or_else(refuse)?;
    let signing = call.blocking(move |shared| match brought {
        None => {
            let keys = &shared.account.keys;
            keys.sign(&account, claims, now, shared.disk.as_ref())
                .map(Some)
        }
        Some((id, pem)) => Ok(keys::sign_with_pem(&id, &pem, claims).ok()),
    });
    match signing.await? {
        Some(token) => ok(json!({ "token": token })),
        None => refuse("pem is not the pem of a signing key"),
    }
}

fn claims(wishes: Wishes, uid: &str, now: SystemTime) -> Result<Map<String, Value>, String> {
    let unix = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
    };
    let exp = wishes.exp.unwrap_or_else(|| unix(now + HOUR));
    let nbf = wishes.nbf.unwrap_or_else(|| unix(now - HOUR));
    if exp <= unix(now) || exp > unix(now + LONGEST) {
        return Err("exp must be within the next 24 hours".to_owned());
    }
    if nbf < 0 || nbf >= exp {
        return Err("nbf must be before exp".to_owned());
    }
    let mut claims = Map::new();
    let mut add = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    add("sub", uid.into());
    add("exp", exp.into());
    add("nbf", nbf.into());
    if wishes.downloadable == Some(true) {
        add("downloadable", true.into());
    }
    if let Some(rules) = wishes.access_rules {
        if rules.len() > MOST_RULES {
            return Err(format!("accessRules has more than {MOST_RULES} rules"));
        }
        rules.iter().try_for_each(Rule::check)?;
        add("accessRules", json!(rules));
    }
    if let Some(flags) = wishes.flags {
        add("flags", json!(flags));
    }
    Ok(claims)
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        if !["allow", "block"].contains(&self.action.as_str()) {
            return Err("the action of an access rule is allow or block".to_owned());
        }
        let is_country =
            |code: &String| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
        let all = |list: &Option<Vec<String>>, is_fine: &dyn Fn(&String) -> bool| {
            list.as_ref()
                .is_some_and(|list| !list.is_empty() && list.iter().all(is_fine))
        };
        match self.kind.as_str() {
            "any" => Ok(()),
            "ip.geoip.country" if all(&self.country, &is_country) => Ok(()),
            "ip.geoip.country" => {
                Err("an access rule by country needs codes of two letters".to_owned())
            }
            "ip.src" if all(&self.ip, &|text| is_network(text)) => Ok(()),
            "ip.src" => Err("an access rule by address needs addresses or CIDRs".to_owned()),
            _ => Err("the type of an access rule is any, ip.src or ip.geoip.country".to_owned()),
        }
    }
}

/// An address, or a CIDR.
fn is_network(text: &str) -> bool {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let longest = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    prefix.is_none_or(|prefix| prefix.parse().is_ok_and(|bits: u8| bits <= longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: Value) -> Result<Map<String, Value>, String> {
        let wishes = serde_json::from_value(body).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        claims(wishes, "video", now)
    }

    #[test]
    fn without_wishes_a_token_holds_from_an_hour_ago_for_an_hour() {
        let claims = check(json!({})).unwrap();
        let wanted = json!({ "sub": "video", "exp": 1_003_600, "nbf": 996_400 });
        assert_eq!(Value::from(claims), wanted);
    }

    #[test]
    fn all_wishes_become_claims() {
        let rules = json!([
            { "type": "ip.src", "action": "allow", "ip": ["93.184.216.0/24", "2400:cb00::/32"] },
            { "type": "ip.geoip.country", "action": "block", "country": ["US"] },
            { "type": "any", "action": "block" },
        ]);
        let wishes = json!({ "exp": 1_086_400, "nbf": 1_000_100, "downloadable": true,
            "accessRules": rules, "flags": { "original": true } });
        let claims = check(wishes).unwrap();
        assert_eq!(
            (&claims["exp"], &claims["nbf"]),
            (&1_086_400.into(), &1_000_100.into())
        );
        assert_eq!(
            (&claims["downloadable"], &claims["accessRules"]),
            (&true.into(), &rules)
        );
        assert_eq!(claims["flags"]["original"], true);
    }

    #[test]
    fn wishes_out_of_bounds_are_refused() {
        let rule = |rule: Value| json!({ "accessRules": [rule] });
        let any = json!({ "type": "any", "action": "allow" });
        for body in [
            json!({ "exp": 1_000_000 }),
            json!({ "exp": 1_086_401 }),
            json!({ "nbf": 1_003_600 }),
            json!({ "nbf": -1 }),
            json!({ "accessRules": vec![any; 6] }),
            rule(json!({ "type": "any", "action": "wave" })),
            rule(json!({ "type": "ip", "action": "allow" })),
            rule(json!({ "type": "ip.src", "action": "allow" })),
            rule(json!({ "type": "ip.src", "action": "allow", "ip": ["1.2.3.4/33"] })),
            rule(json!({ "type": "ip.src", "action": "allow", "ip": ["localhost"] })),
            rule(json!({ "type": "ip.geoip.country", "action": "block", "country": ["USA"] })),
        ] {
            assert!(check(body.clone()).is_err(), "{body}");
        }
    }
}
