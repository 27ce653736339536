# An example: every value in it is yours to change.
name           = "shop"
primary_region = "us-west-2"
standby_region = "eu-west-1"
objectives     = { rto_seconds = 1800, rpo_seconds = 300 }
shares         = { primary = 50, standby = 50 }
database       = { instance_class = "db.r6g.large", instances = { primary = 2, standby = 2 } }
networks = {
  primary = {
    subnet_ids         = ["subnet-0a", "subnet-0b"]
    security_group_ids = ["sg-0a"]
    database           = { subnet_group = "data", security_group_ids = ["sg-0d"] }
    load_balancer_arn  = "arn:aws:elasticloadbalancing:us-west-2:123456789012:loadbalancer/app/shop/0"
    target_group_arns  = ["arn:aws:elasticloadbalancing:us-west-2:123456789012:targetgroup/shop/0"]
  }
  standby = {
    subnet_ids         = ["subnet-1a", "subnet-1b"]
    security_group_ids = ["sg-1a"]
    database           = { subnet_group = "data", security_group_ids = ["sg-1d"] }
    load_balancer_arn  = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/shop/1"
    target_group_arns  = ["arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop/1"]
  }
}
group = {
  instance_type = "m6i.large"
  active        = { min = 4, max = 20, desired = 8 }
  standby       = { min = 1, max = 3, desired = 2 }
}
machine_images  = { primary = "ami-0", standby = "ami-1" }
bucket_suffix   = "123456789012"
log_bucket      = "shop-flow-logs"
controller_arns = ["arn:aws:iam::123456789012:role/controller"]
mail            = ["on-call@example.com"]
tags            = { application = "shop", backup = "shop" }
