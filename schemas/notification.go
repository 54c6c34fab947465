package schemas

// Notice is one telling, by one or more mails.
type Notice struct {
	Version         int64    `avro:"version"` // The version that told it.
	Kind            string   `avro:"kind"`
	CustomerVersion int64    `avro:"customerVersion"` // The version of the customer that is told about.
	At              int64    `avro:"at"`
	Mails           []string `avro:"mails"` // In their order.
}

// ContactUpdated tells that our copy of the customer is that of another version.
type ContactUpdated struct {
	CustomerID string `avro:"customerId"`
	EventHead
	CustomerVersion int64    `avro:"customerVersion"`
	Status          string   `avro:"status"`
	AddressVersion  int64    `avro:"addressVersion"`
	Personal        Personal `avro:"personal"`
}

// NotificationSent tells that the customer is told of a change, by one mail to each recipient.
type NotificationSent struct {
	CustomerID string `avro:"customerId"`
	EventHead
	Kind            string   `avro:"kind"`
	CustomerVersion int64    `avro:"customerVersion"`
	Personal        Personal `avro:"personal"`
}

// NotificationDelivered tells that a mail server took a mail.
type NotificationDelivered struct {
	CustomerID string `avro:"customerId"`
	EventHead
	Notice int64 `avro:"notice"` // Version of the notice.
	Mail   int32 `avro:"mail"`   // 1: its first mail.
}

// NotificationFailed tells that a mail was refused or given up.
type NotificationFailed struct {
	CustomerID string `avro:"customerId"`
	EventHead
	Notice int64  `avro:"notice"` // Version of the notice.
	Mail   int32  `avro:"mail"`   // 1: its first mail.
	Fate   string `avro:"fate"`
}

// NotificationCustomerForgotten tells that the customer was erased.
type NotificationCustomerForgotten struct {
	CustomerID string `avro:"customerId"`
	EventHead
	CustomerVersion int64 `avro:"customerVersion"` // 0: nobody told it.
}

// NotificationState is what a customer was told.
type NotificationState struct {
	CustomerID      string   `avro:"customerId"`
	Version         int64    `avro:"version"`
	CustomerVersion int64    `avro:"customerVersion"` // The highest version of the customer that notification has applied.
	Status          string   `avro:"status"`
	AddressVersion  int64    `avro:"addressVersion"`
	Notices         []Notice `avro:"notices"` // The latest, oldest first.
	Asked           int64    `avro:"asked"`   // Mails since the beginning.
	Delivered       int64    `avro:"delivered"`
	Failed          int64    `avro:"failed"`
}

// NotificationRow is one customer as the notification processor remembers it.
type NotificationRow struct {
	CustomerID      string    `avro:"customerId"`
	Version         int64     `avro:"version"`
	Status          string    `avro:"status"`
	CustomerVersion int64     `avro:"customerVersion"`
	Name            string    `avro:"name"`
	Email           string    `avro:"email"`
	Language        string    `avro:"language"`
	AddressVersion  int64     `avro:"addressVersion"`
	Notices         []Notice  `avro:"notices"` // Oldest first.
	Asked           int64     `avro:"asked"`   // Mails since the beginning.
	Delivered       int64     `avro:"delivered"`
	Failed          int64     `avro:"failed"`
	Handled         []Handled `avro:"handled"` // Oldest first.
}

// AvroName implements Record.
func (*ContactUpdated) AvroName() string { return "utopia.notification.private.ContactUpdated" }

// AvroName implements Record.
func (*NotificationSent) AvroName() string { return "utopia.notification.private.NotificationSent" }

// AvroName implements Record.
func (*NotificationDelivered) AvroName() string {
	return "utopia.notification.private.NotificationDelivered"
}

// AvroName implements Record.
func (*NotificationFailed) AvroName() string { return "utopia.notification.private.NotificationFailed" }

// AvroName implements Record.
func (*NotificationCustomerForgotten) AvroName() string {
	return "utopia.notification.private.CustomerForgotten"
}

// AvroName implements Record.
func (*NotificationState) AvroName() string { return "utopia.notification.NotificationState" }

// AvroName implements Record.
func (*NotificationRow) AvroName() string { return "utopia.notification.private.NotificationRow" }
