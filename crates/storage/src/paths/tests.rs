use super::*;

#[test]
fn every_tenant_id_survives_its_folder() {
    for id in ["single-tenant", "a", "a*b", "a'(b)!", "x_y.z-1", "..."] {
        let tenant: TenantId = id.parse().expect("valid tenant");
        let snapshot = snapshot_path(&tenant, 1);
        let folder: Path = snapshot.parts().take(2).collect();
        assert_eq!(tenant_of(&folder), Some(tenant), "{snapshot}");
    }
}

#[test]
fn snapshot_names_sort_by_version() {
    let tenant = TenantId::single();
    let [nine, ten] = [9, 10].map(|version| snapshot_path(&tenant, version));
    assert!(nine < ten);
    assert_eq!(ten.as_ref(), "tenants/single-tenant/catalog/00000000000000000010.json");
    assert_eq!(snapshot_version(&ten), Some(10));
}

#[test]
fn strange_names_are_no_versions() {
    for name in
        ["1.json", "00000000000000000010.tmp", "x0000000000000000010.json", "-0000000000000000001.json"]
    {
        assert_eq!(snapshot_version(&Path::from(name)), None, "{name}");
    }
}
