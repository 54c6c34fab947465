package topics_test

import (
	"fmt"

	"utopia/topics"
)

// Where does a customer's command go?
func ExamplePartition() {
	fmt.Println(topics.CustomerCommands.Name, topics.Partition("c-17", topics.Partitions))
	// Output: customer.commands.v1 7
}

// Who must be asked before a topic of the customer service changes?
func ExampleGraph() {
	for _, d := range topics.Graph() {
		if d.Topic == topics.CustomerState.Name {
			fmt.Println(d.Who, d.Why, d.On)
		}
	}
	// Output:
	// consumers listens to customer
	// gateway listens to customer
	// billing listens to customer
	// notification listens to customer
	// webhook listens to customer
}
