//! A reference to a container image in ECR, taken apart.

/// An image in a registry of ECR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The account whose registry it is.
    pub account: String,
    /// AWS's name of the registry's region.
    pub region: String,
    /// Its repository.
    pub repository: String,
    /// Which image of the repository.
    pub pick: Pick,
}

/// How one image of a repository is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// By a tag, which may move.
    Tag(String),
    /// By its content.
    Digest(String),
}

impl Image {
    /// Reads `123456789012.dkr.ecr.us-east-1.amazonaws.com/web:1.2`; `None` for an image that is not in ECR.
    pub fn read(reference: &str) -> Option<Image> {
        let (host, path) = reference.split_once('/')?;
        let mut parts = host.split('.');
        let (account, dkr, ecr, region) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_registry = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) && dkr == "dkr";
        if !is_registry || !matches!(ecr, "ecr" | "ecr-fips") {
            return None;
        }
        let (name, digest) = match path.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (path, None),
        };
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
        let pick = digest.map_or_else(|| Pick::Tag(tag.to_owned()), |d| Pick::Digest(d.to_owned()));
        let (account, region) = (account.to_owned(), region.to_owned());
        (!repository.is_empty()).then(|| Image { account, region, repository: repository.to_owned(), pick })
    }
}

impl std::fmt::Display for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.pick {
            Pick::Tag(tag) => write!(f, "{}:{tag}", self.repository),
            Pick::Digest(digest) => write!(f, "{}@{digest}", self.repository),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let host = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
        let image = |rest: &str| Image::read(&format!("{host}/{rest}")).map(|i| i.to_string());
        assert_eq!(image("web").as_deref(), Some("web:latest"));
        assert_eq!(image("shop/web:1.2").as_deref(), Some("shop/web:1.2"));
        assert_eq!(image("web:1.2@sha256:ab").as_deref(), Some("web@sha256:ab"));
        let read = Image::read(&format!("{host}/web:1")).expect("it is in ECR");
        assert_eq!((read.account.as_str(), read.region.as_str()), ("123456789012", "us-east-1"));
        for other in ["nginx:1", "docker.io/library/nginx", "public.ecr.aws/nginx/nginx:1", "1.dkr.ecr.us-east-1.x/web"]
        {
            assert_eq!(Image::read(other), None, "{other}");
        }
    }
}
