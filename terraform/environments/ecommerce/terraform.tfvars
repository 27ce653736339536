# An example: every value in it is yours to change.
name           = "ecommerce"
primary_region = "us-east-1"
standby_region = "eu-west-1"
objectives     = { rto_seconds = 300, rpo_seconds = 60 }
database       = { instance_class = "db.r6g.large", instances = { primary = 2, standby = 2 } }
networks = {
  primary = {
    subnet_ids         = ["subnet-0a", "subnet-0b"]
    security_group_ids = ["sg-0a"]
    database           = { subnet_group = "data", security_group_ids = ["sg-0d"] }
    load_balancer      = { name = "us-east-1.lb.example.com", zone = "Z0LB" }
  }
  standby = {
    subnet_ids         = ["subnet-1a", "subnet-1b"]
    security_group_ids = ["sg-1a"]
    database           = { subnet_group = "data", security_group_ids = ["sg-1d"] }
    load_balancer      = { name = "eu-west-1.lb.example.com", zone = "Z1LB" }
  }
}
zone_id         = "Z0000000000EXAMPLE"
domain          = "shop.example.com"
bucket_suffix   = "123456789012"
backup_schedule = "cron(0/15 * * * ? *)"
repositories    = ["cart", "catalog", "checkout", "identity", "orders", "web"]
services = {
  cart = {
    active  = 3
    standby = 1
    images = {
      primary = "123456789012.dkr.ecr.us-east-1.amazonaws.com/cart:1"
      standby = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/cart:1"
    }
    target_groups = {
      primary = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/cart/0"
      standby = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/cart/1"
    }
  }
  catalog = {
    active  = 3
    standby = 1
    images = {
      primary = "123456789012.dkr.ecr.us-east-1.amazonaws.com/catalog:1"
      standby = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/catalog:1"
    }
    target_groups = {
      primary = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/catalog/0"
      standby = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/catalog/1"
    }
  }
  checkout = {
    active  = 3
    standby = 1
    images = {
      primary = "123456789012.dkr.ecr.us-east-1.amazonaws.com/checkout:1"
      standby = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/checkout:1"
    }
    target_groups = {
      primary = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/checkout/0"
      standby = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/checkout/1"
    }
  }
  identity = {
    active  = 3
    standby = 1
    images = {
      primary = "123456789012.dkr.ecr.us-east-1.amazonaws.com/identity:1"
      standby = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/identity:1"
    }
    target_groups = {
      primary = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/identity/0"
      standby = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/identity/1"
    }
  }
  orders = {
    active  = 3
    standby = 1
    images = {
      primary = "123456789012.dkr.ecr.us-east-1.amazonaws.com/orders:1"
      standby = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/orders:1"
    }
    target_groups = {
      primary = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/orders/0"
      standby = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/orders/1"
    }
  }
  web = {
    active  = 3
    standby = 1
    images = {
      primary = "123456789012.dkr.ecr.us-east-1.amazonaws.com/web:1"
      standby = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:1"
    }
    target_groups = {
      primary = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0"
      standby = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/1"
    }
  }
}
execution_role_arn = "arn:aws:iam::123456789012:role/pull"
controller_arns    = ["arn:aws:iam::123456789012:role/controller"]
mail               = ["on-call@example.com"]
tags               = { application = "ecommerce", backup = "ecommerce" }
