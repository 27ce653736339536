# An example: every value in it is yours to change.
name           = "web"
primary_region = "us-east-1"
standby_region = "us-west-2"
objectives     = { rto_seconds = 1800, rpo_seconds = 300 }
scaling        = { active = 6, standby = 1 }
test           = { schedule = "cron(5 0 ? * MON#1 *)", minutes = 60 }
zone_id        = "Z0000000000EXAMPLE"
domain         = "web.example.com"
bucket_suffix  = "123456789012"
networks = {
  primary = {
    subnet_ids            = ["subnet-0a", "subnet-0b"]
    security_group_ids    = ["sg-0a"]
    db_subnet_group       = "data"
    db_security_group_ids = ["sg-0d"]
    db_closed_group_ids   = ["sg-0c"] # Lets nobody in: with it a writer is stopped, and an old one silenced.
    load_balancer         = "east.web.example.com"
    target_group_arn      = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0"
  }
  standby = {
    subnet_ids            = ["subnet-1a", "subnet-1b"]
    security_group_ids    = ["sg-1a"]
    db_subnet_group       = "data"
    db_security_group_ids = ["sg-1d"]
    db_closed_group_ids   = ["sg-1c"] # Lets nobody in: with it a writer is stopped, and an old one silenced.
    load_balancer         = "west.web.example.com"
    target_group_arn      = "arn:aws:elasticloadbalancing:us-west-2:123456789012:targetgroup/web/1"
  }
}
images = {
  primary = "123456789012.dkr.ecr.us-east-1.amazonaws.com/web:1"
  standby = "123456789012.dkr.ecr.us-west-2.amazonaws.com/web:1"
}
execution_role_arn = "arn:aws:iam::123456789012:role/pull"
controller_arns    = ["arn:aws:iam::123456789012:role/controller"]
mail               = ["on-call@example.com"]
tags               = { application = "web" }
