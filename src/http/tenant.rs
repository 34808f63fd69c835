//! Checks the tenant (`X-Scope-OrgID`).

/// The header that names the tenant.
pub const TENANT_HEADER: &str = "X-Scope-OrgID";

/// The maximum length of a tenant in bytes.
const LONGEST: usize = 150;

/// Checks a tenant against Loki's rule for pushes. Loki answers an invalid tenant with 400.
///
/// # Errors
/// If the tenant is invalid.
pub fn check_tenant(tenant: &str) -> Result<(), String> {
    let shown = tenant.escape_debug();
    let accepted = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()".contains(c);
    let (first, others) = tenant.split_once('|').unwrap_or((tenant, tenant));
    if others.split('|').any(|other| other != first) {
        return Err(format!(
            "`{shown}` names several tenants: a push requires exactly one"
        ));
    }
    // Newer versions of Loki remove metadata from it: `tenant:key=value`.
    let tenant = match first.split_once(':') {
        Some((tenant, metadata)) if metadata.contains('=') => tenant,
        _ => first,
    };
    if let Some(odd) = tenant.chars().find(|c| !accepted(*c)) {
        return Err(format!(
            "`{shown}` is not a valid tenant: `{}` is not accepted (use letters, digits and !-_.*'())",
            odd.escape_debug()
        ));
    }
    if tenant.len() > LONGEST {
        return Err(format!(
            "the tenant has {} characters, and Loki accepts at most {LONGEST}",
            tenant.len()
        ));
    }
    if matches!(tenant, "." | "..") {
        return Err(format!("`{shown}` is not a valid tenant"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loki_accepts_is_accepted() {
        for tenant in [
            "a",
            "a|a",
            "a:k=v",
            "team-a_1.prod!*'()",
            "...",
            &"x".repeat(150),
        ] {
            assert_eq!(check_tenant(tenant), Ok(()), "{tenant}");
        }
        for tenant in [
            "a|b",
            "a|",
            "a:b",
            "a/b",
            "a b",
            "é",
            ".",
            "..",
            &"x".repeat(151),
            "a\n",
        ] {
            let why = check_tenant(tenant).expect_err(tenant);
            assert!(!why.contains('\n') && why.len() < 160, "{why}");
        }
    }
}
