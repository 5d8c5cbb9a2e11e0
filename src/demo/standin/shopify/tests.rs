//! The stand-in against its own schema: whatever may be asked of what it holds, it can answer.

use apollo_compiler::schema::ExtendedType;

use super::document::schema;
use super::things::{Answer, Thing};
use crate::clock::Clock;
use crate::demo::standin::world::{Back, Group, Hook, NewOrder, World};

/// Fields that nobody needs a stand-in for.
const NOT_HELD: [&str; 1] = ["inventoryLevels"];

fn world() -> World {
    let mut world = World::new(Clock::new(), false);
    let (product, variants) = world.add_product("Tea", &["TEA-1", ""]);
    let place = world.add_location("Warehouse");
    let order = world.create_order(NewOrder::of(&[(variants[0], 3)]).attribute("a", "b")).unwrap();
    let line = world.order(order).unwrap().lines[0].id;
    world.fulfil(order, &[(line, 2)], Some(place)).unwrap();
    world.refund(order, &[Back::returned(line, 1, Some(place))]).unwrap();
    let (gone, _) = world.add_product("Gone", &[]);
    world.delete_product(gone).unwrap();
    let created_at = world.now();
    world.hooks.push(Hook { id: 1, topic: "ORDERS_CREATE".to_owned(), address: String::new(), created_at });
    assert!(world.product(product).is_ok());
    world
}

#[test]
fn every_field_of_every_type_that_is_held_has_an_answer() {
    let world = world();
    let (order, product) = (world.orders.values().next().unwrap(), world.products.values().next().unwrap());
    let (line, parcel, refund) = (&order.lines[0], &order.fulfilments[0], &order.refunds[0]);
    let group = Group { id: 1, title: String::new(), quantity: 1 };
    let things = [
        Thing::Order(order),
        Thing::Line(order, line),
        Thing::Group(&group),
        Thing::Fulfilment(order, parcel),
        Thing::FulfilmentLine(order, &parcel.lines[0]),
        Thing::Refund(order, refund),
        Thing::RefundLine(order, &refund.lines[0]),
        Thing::Product(product),
        Thing::Variant(product, &product.variants[1]),
        Thing::InventoryItem(&product.variants[1]),
        Thing::Location(world.locations.values().next().unwrap()),
        Thing::Destroyed(&world.destroyed[0]),
        Thing::Hook(&world.hooks[0]),
        Thing::Money(order.total()),
        Thing::MoneyIn(order.total()),
        Thing::Attribute("a", "b"),
        Thing::Count(1),
        Thing::Shop("shop"),
        Thing::Plan,
        Thing::Installation(&world.scopes),
        Thing::Scope("read_orders"),
        Thing::Version,
        Thing::Inventory,
        Thing::QuantityName("available"),
        Thing::HookMade(&world.hooks[0]),
        Thing::HookDeleted(1),
    ];
    for thing in things {
        let Some(ExtendedType::Object(kind)) = schema().unwrap().types.get(thing.kind()) else {
            panic!("{} is no type of the schema", thing.kind())
        };
        for (name, field) in &kind.fields {
            if NOT_HELD.contains(&name.as_str()) {
                continue;
            }
            let answer = thing.field(name);
            assert!(!matches!(answer, Answer::Unheld), "{}.{name} is not held", thing.kind());
            let null = matches!(answer, Answer::Null);
            assert!(!null || !field.ty.is_non_null(), "{}.{name} may not be null", thing.kind());
        }
    }
}
