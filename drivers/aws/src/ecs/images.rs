//! The images of a service: in the region's own registry, and the same ones as where it serves now.

use super::{EcsDriver, LOOK};
use crate::call::Call;
use crate::finding::{finding, not_asked};
use crate::words::image::{Image, Pick};
use crate::words::refusal::Said;
use aws_sdk_ecr::Client;
use aws_sdk_ecr::types::ImageIdentifier;
use aws_sdk_ecs::types::Service;
use pilotlight_core::code;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Failure, Finding, Severity};
use std::collections::BTreeMap;

impl EcsDriver {
    /// What would keep tasks of the region's service from starting, or make them others than those that serve.
    pub(super) async fn of_images(&self, region: &Region, service: &Service) -> Vec<Finding> {
        let here = match self.images(region, service).await {
            Ok(images) => images,
            Err(failure) => return vec![not_asked(failure)],
        };
        let mut found = Vec::new();
        let mut digests = BTreeMap::new();
        for (container, image) in &here {
            found.extend(self.far_registry(region, container, image));
            match Box::pin(self.digest(image)).await {
                Ok(Some(digest)) => {
                    digests.insert(container.as_str(), digest);
                }
                Ok(None) => {
                    let (component, registry) = (&self.component, &image.region);
                    let message =
                        format!("{container} of {component} in {region} runs {image}, which {registry} lacks");
                    let hint = "push it there, or replicate the repository; until then no task starts";
                    found.push(finding(code::AWS_IMAGE_MISSING, Severity::Blocker, message, hint));
                }
                Err(failure) => found.push(not_asked(failure)),
            }
        }
        for other in self.plan.regions.keys().filter(|r| *r != region && !digests.is_empty()) {
            found.extend(Box::pin(self.differences(region, other, &digests)).await);
        }
        found
    }

    /// Out of the registry of a region that may be lost nothing can be pulled then.
    fn far_registry(&self, region: &Region, container: &str, image: &Image) -> Option<Finding> {
        if image.region == self.access.name(region) {
            return None;
        }
        let lost_with = self.access.plan_region(self.plan.regions.keys(), &image.region);
        let severity = if lost_with.is_some() { Severity::Blocker } else { Severity::Warning };
        let message = format!(
            "{container} of {} in {region} pulls {image} out of the registry of {}",
            self.component, image.region
        );
        let hint = "name the image in the region's own registry: without the other one no task starts";
        Some(finding(code::AWS_IMAGE_ELSEWHERE, severity, message, hint))
    }

    /// Containers that run another image in the other region. A region that does not answer is not compared with.
    async fn differences(&self, region: &Region, other: &Region, digests: &BTreeMap<&str, String>) -> Vec<Finding> {
        let there = match self.service(other).await {
            Ok(Some(service)) => self.images(other, &service).await,
            Ok(None) => return Vec::new(),
            Err(failure) => Err(failure),
        };
        let there = match there {
            Ok(images) => images,
            Err(failure) => return vec![Finding { severity: Severity::Note, ..not_asked(failure) }],
        };
        let mut found = Vec::new();
        for (container, image) in &there {
            let (Some(here), Ok(Some(there))) = (digests.get(container.as_str()), Box::pin(self.digest(image)).await)
            else {
                continue;
            };
            if *here != there {
                let (component, short) = (&self.component, |d: &str| d.chars().take(19).collect::<String>());
                let (mine, theirs) = (short(here), short(&there));
                let message =
                    format!("{container} of {component} is {theirs} in {other} and {mine} in {region}: another image");
                let hint = "deploy the same one in both, best by digest";
                found.push(finding(code::AWS_IMAGE_DIFFERS, Severity::Warning, message, hint));
            }
        }
        found
    }

    /// Containers of the service's task definition whose image is in ECR.
    async fn images(&self, region: &Region, service: &Service) -> Result<Vec<(String, Image)>, Failure> {
        let Some(name) = service.task_definition() else { return Ok(Vec::new()) };
        let client = self.client(region).await?;
        let send = || client.describe_task_definition().task_definition(name).send();
        let answer = self.access.read(self.call(region, "DescribeTaskDefinition"), LOOK, send).await;
        let answer = answer.map_err(|r| r.not_seen())?;
        let containers = answer.task_definition().map(|d| d.container_definitions()).unwrap_or_default();
        let of = containers.iter().filter_map(|c| Some((c.name()?.to_owned(), Image::read(c.image()?)?)));
        Ok(of.collect())
    }

    /// The digest of the image, as the registry that its reference names has it; `None` when it has no such image.
    async fn digest(&self, image: &Image) -> Result<Option<String>, Failure> {
        let client = Client::new(&self.access.config_of(&image.region).await?);
        let id = match &image.pick {
            Pick::Tag(tag) => ImageIdentifier::builder().image_tag(tag),
            Pick::Digest(digest) => ImageIdentifier::builder().image_digest(digest),
        };
        let id = id.build();
        let send = || {
            let call = client.describe_images().registry_id(&image.account).repository_name(&image.repository);
            call.image_ids(id.clone()).send()
        };
        let call = Call { service: "ecr", region: &image.region, action: "DescribeImages" };
        match self.access.read(call, LOOK, send).await {
            Ok(answer) => Ok(answer.image_details().first().and_then(|d| d.image_digest()).map(str::to_owned)),
            Err(refused) if refused.said == Said::Missing => Ok(None),
            Err(refused) => Err(refused.not_seen()),
        }
    }
}
